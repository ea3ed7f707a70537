/* SPDX-License-Identifier: BSD-3-Clause */
/* See out_of_memory.h. */
#include "out_of_memory.h"

#include "convert.h"
#include "zmalloc.h"

/*
 * Their addresses are where each Lua state keeps its handler, or false, and whether C may try again when that says
 * so. The places are there from the start: so neither of the two steps that set them can fail, and no script's code
 * runs between.
 */
static const char handler_key;
static const char answers_key;

_Thread_local struct memory_request memory_request;

static bool handler_answers(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &answers_key);
    bool answers = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return answers;
}

/*
 * Whether C is to try again, as the script's handler answers that it freed something. No Lua error may leave this:
 * what it raises is kept on the stack, and raised when C has returned. The handler may do anything: make calls that
 * fail themselves, in this coroutine and in others, set another handler, collect garbage. Only the block that is
 * resized is out of its reach, and what this call has noted of itself is put back afterwards, the coroutine that
 * asked above all. The stack has room for what this pushes: a C function has LUA_MINSTACK places, and no call of ours
 * fills them.
 */
static bool ask_handler(lua_State *L, size_t size)
{
    bool answers = handler_answers(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &handler_key);
    if (!lua_isfunction(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    struct memory_request request = memory_request;
    memory_request = (struct memory_request){.handler_runs = true};
    push_size(L, size);
    bool raised = lua_pcall(L, 1, 1, 0) != LUA_OK;
    memory_request = request;
    memory_request.raised = raised;
    if (raised) {
        return false;
    }
    bool freed = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return freed && answers;
}

int oom_retry_callback(size_t size, void *unused)
{
    (void) unused;
    lua_State *L = memory_request.caller;
    struct refusal refusal = why_refused(size, memory_request.old); /* before the handler frees anything */
    bool again =
        !memory_request.handler_runs && ask_handler(L, size) && memory_request.retries++ < ZMALLOC_MOST_RETRIES;
    memory_request.failed = !again;
    memory_request.refusal = refusal;
    return again;
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
    push_or_false(L, index);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &handler_key);
    lua_pushboolean(L, answers);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &answers_key);
}

void start_handling(lua_State *L)
{
    make_place(L, &handler_key);
    make_place(L, &answers_key);
    if (zmalloc_set_oom_retry_handler(oom_retry_callback, NULL) != 0) {
        luaL_error(L, "zmalloc: no memory to load it");
    }
}
