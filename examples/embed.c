/* SPDX-License-Identifier: BSD-3-Clause */
/* A Lua state on counted memory, with a limit. Usage: embed [SCRIPT...] */
#include <zmalloc_lua.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

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

static int load_and_run(lua_State *L, const char *script)
{
    lua_settop(L, 0);
    int status = luaL_loadstring(L, script);
    return status == LUA_OK ? lua_pcall(L, 0, 0, 0) : status;
}

/*
 * Lua collects its garbage for some of the requests that are refused, and fails at once for others, such as the
 * string of a string.rep. So the host collects, and tries once more.
 */
static void run(lua_State *L, const char *script)
{
    int status = load_and_run(L, script);
    if (status == LUA_ERRMEM) {
        lua_gc(L, LUA_GCCOLLECT, 0);
        status = load_and_run(L, script);
    }
    if (status != LUA_OK) {
        const char *text = lua_tostring(L, -1);
        printf("error: %s\n", text != NULL ? text : "without a text");
    }
}

#if LUA_VERSION_NUM >= 505
/* A text of the host's as a string, without a copy: the block is the state's from now on, and counts as such. */
static void set_text(lua_State *L, struct memory *memory, const char *name, const char *text)
{
    size_t length = strlen(text);
    char *block = limited_alloc(memory, NULL, LUA_TSTRING, length + 1);
    if (block != NULL) {
        memcpy(block, text, length + 1);
        lua_pushexternalstring(L, block, length, limited_alloc, memory);
        lua_setglobal(L, name);
    }
}
#endif

int main(int argc, char **argv)
{
    const char *fill = "t = {} for i = 1, 10 ^ 9 do t[i] = {} end";
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
#if LUA_VERSION_NUM >= 505
    set_text(L, &memory, "host", argv[0]);
#endif
    for (int i = 1; i < argc; i++) {
        run(L, argv[i]);
    }
    if (argc == 1) {
        run(L, fill);
    }
    printf("scripts: %zu bytes, of %zu in use\n", memory.used, zmalloc_used_memory());
    lua_close(L);
    printf("closed: %zu bytes\n", memory.used);
    return 0;
}
