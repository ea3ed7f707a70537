/* SPDX-License-Identifier: BSD-3-Clause */
/* When there is no memory: the script's handler is called, and the failed call raises; nothing aborts. */
#ifndef OUT_OF_MEMORY_H
#define OUT_OF_MEMORY_H

#include <stdbool.h>
#include <stdio.h>

/* Its address is where each Lua state keeps its handler. */
static const char handler_key;

/* A call in this thread, and what the handler below has to tell it. */
static _Thread_local struct {
    lua_State *caller;
    bool handler_runs; /* it is not called for what it asks for itself */
    bool raised;       /* the handler's error is on top of the caller's stack */
    bool failed;
    size_t size;
} memory_request;

/*
 * zmalloc's handler. No Lua error may leave it: what the script's handler raises is kept on the stack, and raised
 * when C has returned.
 */
static void out_of_memory(size_t size)
{
    lua_State *L = memory_request.caller;
    if (!memory_request.handler_runs && lua_checkstack(L, LUA_MINSTACK)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &handler_key);
        if (lua_isfunction(L, -1)) {
            push_size(L, size);
            memory_request.handler_runs = true;
            memory_request.raised = lua_pcall(L, 1, 0, 0) != LUA_OK;
            memory_request.handler_runs = false;
        } else {
            lua_pop(L, 1);
        }
    }
    memory_request.failed = true;
    memory_request.size = size;
}

static void begin_call(lua_State *L)
{
    memory_request.caller = L;
}

static void end_call(lua_State *L, const char *call)
{
    if (!memory_request.failed) {
        return;
    }
    bool raised = memory_request.raised;
    memory_request.failed = false;
    memory_request.raised = false;
    if (raised) {
        lua_error(L);
    }
    char size[24];
    snprintf(size, sizeof(size), "%zu", memory_request.size);
    luaL_error(L, "%s: can't allocate a size of %s bytes", call, size);
}

static void set_handler(lua_State *L, int index, const char *call, const char *argument)
{
    if (!lua_isnil(L, index) && !lua_isfunction(L, index)) {
        refuse_type(L, index, call, argument, "a function or nil");
    }
    lua_pushvalue(L, index);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &handler_key);
}

#endif
