/* SPDX-License-Identifier: BSD-3-Clause */
/* A Lua state on counted memory, with a limit. Usage: embed [SCRIPT] */
#include <zmalloc_lua.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

struct memory {
    size_t used; /* first, so that this is zmalloc_lua_alloc's ud too */
    size_t limit;
};

static void *limited_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
    const struct memory *memory = ud;
    size_t old = ptr != NULL ? osize : 0;
    if (nsize > old && memory->used + (nsize - old) > memory->limit) {
        return NULL;
    }
    return zmalloc_lua_alloc(ud, ptr, osize, nsize);
}

int main(int argc, char **argv)
{
    const char *script = argc > 1 ? argv[1] : "t = {} for i = 1, 10 ^ 9 do t[i] = {} end";
    struct memory memory = {.limit = 16 << 20};
#if LUA_VERSION_NUM >= 505
    lua_State *L = lua_newstate(limited_alloc, &memory, luaL_makeseed(NULL));
#else
    lua_State *L = lua_newstate(limited_alloc, &memory);
#endif
    if (L == NULL) {
        return 1;
    }
    luaL_openlibs(L);
    printf("libraries: %zu bytes\n", memory.used);
    if (luaL_loadstring(L, script) != 0 || lua_pcall(L, 0, 0, 0) != 0) {
        printf("error: %s\n", lua_tostring(L, -1));
    }
    printf("script: %zu bytes, of %zu in use\n", memory.used, zmalloc_used_memory());
    lua_close(L);
    printf("closed: %zu bytes\n", memory.used);
    return 0;
}
