/* SPDX-License-Identifier: BSD-3-Clause */
/* See compat.h. */
#include "compat.h"

#if LUA_VERSION_NUM < 502
void set_metatable(lua_State *L, const char *name)
{
    luaL_getmetatable(L, name);
    lua_setmetatable(L, -2);
}

void set_functions(lua_State *L, const luaL_Reg *functions, int upvalues)
{
    (void) upvalues; /* none */
    for (; functions->name != NULL; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_setfield(L, -2, functions->name);
    }
}

void *test_userdata(lua_State *L, int index, const char *name)
{
    void *userdata = lua_touserdata(L, index);
    if (userdata == NULL || !lua_getmetatable(L, index)) {
        return NULL;
    }
    luaL_getmetatable(L, name);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? userdata : NULL;
}

void raw_get(lua_State *L, int index, const void *key)
{
    lua_pushlightuserdata(L, (void *) (uintptr_t) key);
    lua_rawget(L, index);
}

void raw_set(lua_State *L, int index, const void *key)
{
    lua_pushlightuserdata(L, (void *) (uintptr_t) key);
    lua_insert(L, -2);
    lua_rawset(L, index);
}
#endif
