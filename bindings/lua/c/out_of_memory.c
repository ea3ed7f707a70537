/* SPDX-License-Identifier: BSD-3-Clause */
/* See out_of_memory.h. */
#include "out_of_memory.h"

#include "convert.h"
#include "zmalloc.h"

/* Their addresses are where each Lua state keeps its handler, and whether C may try again when that says so. */
static const char handler_key;
static const char answers_key;

_Thread_local struct memory_request memory_request;

bool handler_answers(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &answers_key);
    bool answers = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return answers;
}

/*
 * Whether the script's handler answers that it freed something. No Lua error may leave this: what it raises is kept
 * on the stack, and raised when C has returned.
 */
static bool ask_handler(lua_State *L, size_t size)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &handler_key);
    if (!lua_isfunction(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    int retries = memory_request.retries;
    size_t old = memory_request.old;
    memory_request.old = 0;
    push_size(L, size);
    memory_request.handler_runs = true;
    memory_request.raised = lua_pcall(L, 1, 1, 0) != LUA_OK;
    memory_request.handler_runs = false;
    memory_request.retries = retries;
    memory_request.old = old;
    if (memory_request.raised) {
        return false;
    }
    bool freed = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return freed;
}

int oom_retry_callback(size_t size, void *unused)
{
    (void) unused;
    lua_State *L = memory_request.caller;
    struct refusal refusal = why_refused(size, memory_request.old); /* before the handler frees anything */
    bool asked = !memory_request.handler_runs && lua_checkstack(L, LUA_MINSTACK);
    if (asked && ask_handler(L, size) && handler_answers(L) && memory_request.retries++ < ZMALLOC_MOST_RETRIES) {
        return 1;
    }
    memory_request.failed = true;
    memory_request.refusal = refusal;
    return 0;
}

void raise_failure(lua_State *L, const char *call)
{
    bool raised = memory_request.raised;
    memory_request.failed = false;
    memory_request.raised = false;
    if (raised) {
        lua_error(L);
    }
    refusal_text text;
    write_refusal(text, call, &memory_request.refusal);
    luaL_error(L, "%s", text);
}

void check_callable(lua_State *L, int index, const char *call, const char *argument)
{
    if (!lua_isnil(L, index) && !lua_isfunction(L, index)) {
        refuse_type(L, index, call, argument, "a function or nil");
    }
}

void set_handler(lua_State *L, int index, bool answers, const char *call, const char *argument)
{
    check_callable(L, index, call, argument);
    lua_pushvalue(L, index);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &handler_key);
    lua_pushboolean(L, answers);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &answers_key);
}
