/* SPDX-License-Identifier: BSD-3-Clause */
/* See pressure.h. */
#include "pressure.h"

#include "convert.h"

/* Its address is where each Lua state keeps its handler. */
static const char pressure_key;

void passed_pressure(lua_State *L)
{
    if (pressure.handler_runs) {
        return;
    }
    pressure.passed = false;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &pressure_key);
    if (lua_isfunction(L, -1)) {
        push_size(L, pressure.used);
        begin_handler();
        int status = lua_pcall(L, 1, 0, 0);
        end_handler();
        if (status != LUA_OK) {
            lua_error(L);
        }
    } else {
        lua_pop(L, 1);
    }
}

void start_watching(lua_State *L)
{
    make_place(L, &pressure_key);
}

void keep_pressure_handler(lua_State *L, int index)
{
    push_or_false(L, index);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &pressure_key);
    pressure.passed = false;
}
