/* SPDX-License-Identifier: BSD-3-Clause */
/* What the Luas differ in: the module is written for 5.4, and here is what 5.1 (LuaJIT too), 5.2 and 5.3 lack of it.
 */
#ifndef COMPAT_H
#define COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * From 5.3 on Lua has integers of 64 bits. Before, every number is a double, which is one integer and no other only
 * below 2^53.
 */
#if LUA_VERSION_NUM >= 503
#define MOST_INTEGER LUA_MAXINTEGER
#define LEAST_INTEGER LUA_MININTEGER
#else
#define MOST_INTEGER ((INT64_C(1) << 53) - 1)
#define LEAST_INTEGER (-MOST_INTEGER)
#endif

/*
 * is_whole: whether the number at the index is whole, and which integer. push_address: an address fills Lua's
 * integers, so from 2^63 on it is below 0, and "%x" and math.ult take it for what it is; where numbers are doubles,
 * that of a page has no bits that a double could not have.
 */
#if LUA_VERSION_NUM >= 503
static inline bool is_whole(lua_State *L, int index, int64_t *integer)
{
    int whole;
    *integer = lua_tointegerx(L, index, &whole);
    return whole;
}

static inline void push_integer(lua_State *L, int64_t integer)
{
    lua_pushinteger(L, integer);
}

static inline void push_address(lua_State *L, uint64_t address)
{
    lua_pushinteger(L, (lua_Integer) address);
}
#else
static inline bool is_whole(lua_State *L, int index, int64_t *integer)
{
    lua_Number number = lua_tonumber(L, index);
    bool exact = number >= (lua_Number) LEAST_INTEGER && number <= (lua_Number) MOST_INTEGER;
    *integer = exact ? (int64_t) number : 0;
    return exact && (lua_Number) *integer == number;
}

static inline void push_integer(lua_State *L, int64_t integer)
{
    lua_pushnumber(L, (lua_Number) integer);
}

static inline void push_address(lua_State *L, uint64_t address)
{
    lua_pushnumber(L, (lua_Number) address);
}
#endif

#if LUA_VERSION_NUM < 504
#define lua_newuserdatauv(L, size, values) lua_newuserdata(L, size)
/* These may run finalisers before they copy a string: what it is copied from must not be theirs to free. */
#define COLLECTS_BEFORE_COPY 1
#else
#define COLLECTS_BEFORE_COPY 0
#endif

#ifndef LUA_LOADED_TABLE
#define LUA_LOADED_TABLE "_LOADED"
#endif

#ifndef LUA_OK
#define LUA_OK 0
#endif

/* LuaJIT is a 5.1 that has some of these, and SWIG has macros for others. */
#if LUA_VERSION_NUM < 502
#undef luaL_newlib
#undef lua_rawgetp
#undef lua_rawsetp
#define luaL_setmetatable set_metatable
#define luaL_setfuncs set_functions
#define luaL_testudata test_userdata
#define luaL_newlib(L, functions) (lua_newtable(L), luaL_setfuncs(L, functions, 0))
#define lua_rawgetp raw_get
#define lua_rawsetp raw_set

void set_metatable(lua_State *L, const char *name);

void set_functions(lua_State *L, const luaL_Reg *functions, int upvalues);

void *test_userdata(lua_State *L, int index, const char *name);

/* The index is that of the registry. */
void raw_get(lua_State *L, int index, const void *key);

void raw_set(lua_State *L, int index, const void *key);
#endif

#endif
