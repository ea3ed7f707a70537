/* SPDX-License-Identifier: BSD-3-Clause */
/* Fault loops for the Lua module: Lua's own requests for memory, and what the library asks for, failed in turn. */
#include "faults.h"

#include "zmalloc.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int luaopen_zmalloc(lua_State *L);

/* Not those that are wrapped: the host's are no part of what is counted, and fail by a rule of their own. */
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);

enum { CALLS = 1, CLEAN_UP }; /* where these are on the stack */

/* From the nth request on, so many fail. Lua tries one that failed again, once it has collected its garbage. */
static struct {
    unsigned nth; /* 0: none fails */
    unsigned lasts;
    unsigned seen;
    unsigned struck;
} plan;

static const unsigned durations[] = {1, 2, ~0U};

static unsigned long of_lua;
static unsigned long of_library;

static void *allocate(void *unused, void *block, size_t old, size_t size)
{
    (void) unused;
    if (size == 0) {
        __real_free(block);
        return NULL;
    }
    if (plan.nth > 0 && (block == NULL || size > old)) {
        plan.seen++;
        if (plan.seen >= plan.nth && plan.seen - plan.nth < plan.lasts) {
            plan.struck++;
            return NULL;
        }
    }
    return __real_realloc(block, size);
}

static void arm(unsigned nth, unsigned lasts)
{
    plan.lasts = lasts;
    plan.seen = 0;
    plan.struck = 0;
    plan.nth = nth;
}

static unsigned disarm(void)
{
    plan.nth = 0;
    of_lua += plan.struck > 0;
    return plan.struck;
}

static void require(bool good, const char *call, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s: %s\n", call, what);
        exit(EXIT_FAILURE);
    }
}

static void collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    lua_gc(L, LUA_GCCOLLECT, 0); /* what finalisers left */
}

/* A call is as it was before: its function and its arguments are on the stack. */
static int make_ready(lua_State *L, const char *call)
{
    lua_getfield(L, CALLS, call);
    require(lua_pcall(L, 0, LUA_MULTRET, 0) == LUA_OK, call, "can't be made ready");
    return lua_gettop(L) - CLEAN_UP - 1;
}

static void clean_up(lua_State *L)
{
    lua_settop(L, CLEAN_UP);
    lua_pushvalue(L, CLEAN_UP);
    require(lua_pcall(L, 0, 0, 0) == LUA_OK, "the handlers and limits", "can't be taken away");
    collect(L);
}

/* The type of its result, or its error. */
struct outcome {
    int status;
    char text[200];
};

static struct outcome outcome_of(lua_State *L, int status)
{
    struct outcome outcome = {status, ""};
    const char *text = lua_gettop(L) == CLEAN_UP ? "nothing"
                       : status != LUA_OK        ? lua_tostring(L, -1)
                                                 : luaL_typename(L, CLEAN_UP + 1);
    snprintf(outcome.text, sizeof(outcome.text), "%s", text != NULL ? text : "an error that is no string");
    return outcome;
}

static bool is_memory_error(const struct outcome *outcome)
{
    return outcome->status != LUA_OK && strstr(outcome->text, "not enough memory") != NULL;
}

static bool same(const struct outcome *one, const struct outcome *other)
{
    return one->status == other->status && strcmp(one->text, other->text) == 0;
}

static struct outcome call_as_ever(lua_State *L, const char *call)
{
    struct outcome outcome = outcome_of(L, lua_pcall(L, make_ready(L, call), LUA_MULTRET, 0));
    clean_up(L);
    return outcome;
}

static void fail_lua(lua_State *L, const char *call, unsigned lasts)
{
    struct outcome as_ever = call_as_ever(L, call);
    size_t used = zmalloc_used_memory();
    long blocks = faults_blocks();
    unsigned struck = 1;
    for (unsigned nth = 1; struck > 0; nth++) {
        int arguments = make_ready(L, call);
        arm(nth, lasts);
        int status = lua_pcall(L, arguments, LUA_MULTRET, 0);
        struck = disarm();
        struct outcome outcome = outcome_of(L, status);
        bool good = same(&outcome, &as_ever) || is_memory_error(&outcome);
        require(good, call, outcome.text);
        clean_up(L);
        require(zmalloc_used_memory() == used, call, "loses bytes");
        require(faults_blocks() == blocks, call, "loses a block");
    }
    struct outcome again = call_as_ever(L, call);
    require(same(&again, &as_ever), call, "is not what it was");
}

/* The calls may fail in any way that they have words for. */
static void fail_library(lua_State *L, const char *call, int fault, int persistent)
{
    struct outcome as_ever = call_as_ever(L, call);
    size_t used = zmalloc_used_memory();
    long blocks = faults_blocks();
    unsigned struck = 1;
    for (unsigned nth = 1; struck > 0; nth++) {
        int arguments = make_ready(L, call);
        faults_arm(fault, nth, persistent);
        int status = lua_pcall(L, arguments, LUA_MULTRET, 0);
        struck = faults_disarm();
        of_library += struck > 0;
        struct outcome outcome = outcome_of(L, status);
        bool good = status == LUA_OK || strstr(outcome.text, ": ") != NULL;
        require(good, call, outcome.text);
        clean_up(L);
        require(zmalloc_used_memory() == used, call, "loses bytes where the library meets a fault");
        require(faults_blocks() == blocks, call, "loses a block where the library meets a fault");
    }
    struct outcome again = call_as_ever(L, call);
    require(same(&again, &as_ever), call, "is not what it was before the library met faults");
}

static void fail_call(lua_State *L, const char *call)
{
    for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
        fail_lua(L, call, durations[i]);
    }
    for (int fault = 0; fault < faults_count(); fault++) {
        fail_library(L, call, fault, 0);
        fail_library(L, call, fault, 1);
    }
}

static int load(lua_State *L)
{
    luaL_requiref(L, "zmalloc", luaopen_zmalloc, 0);
    lua_getfield(L, -1, "Block");
    lua_pushinteger(L, 100);
    lua_call(L, 1, 0);
    return 1;
}

/* What zmalloc.lua has last is there, and where it could not be loaded nothing is taken for loaded. */
static bool is_whole(lua_State *L, int status)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, "zmalloc");
    if (lua_isnil(L, -1)) {
        return status != LUA_OK;
    }
    lua_getfield(L, -1, "allocator_info");
    return lua_isfunction(L, -1);
}

/* A state that has no memory for the module, or for the Block at its end, leaves nothing behind. */
static void fail_to_load(unsigned lasts)
{
    size_t used = zmalloc_used_memory();
    unsigned struck = 1;
    for (unsigned nth = 1; struck > 0; nth++) {
        lua_State *L = lua_newstate(allocate, NULL);
        require(L != NULL, "Lua", "does not begin");
        luaL_openlibs(L);
        lua_pushcfunction(L, load);
        arm(nth, lasts);
        int status = lua_pcall(L, 0, 1, 0);
        struck = disarm();
        const char *text = status != LUA_OK ? lua_tostring(L, -1) : "";
        require(status == LUA_OK || strstr(text, "memory") != NULL, "require", text);
        require(is_whole(L, status), "require", "gives a part of the module");
        lua_close(L);
        require(zmalloc_used_memory() == used, "require", "loses bytes");
    }
}

int main(int count, char **arguments)
{
    require(count == 2, "lua_loops", "wants the file of calls");
    for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
        fail_to_load(durations[i]);
    }
    lua_State *L = lua_newstate(allocate, NULL);
    luaL_openlibs(L);
    int status = luaL_loadfile(L, arguments[1]);
    luaL_requiref(L, "zmalloc", luaopen_zmalloc, 0);
    status = status == LUA_OK ? lua_pcall(L, 1, 2, 0) : status;
    require(status == LUA_OK, arguments[1], status != LUA_OK ? lua_tostring(L, -1) : "");
    clean_up(L);
    const char *calls[200];
    int known = 0;
    for (lua_pushnil(L); known < 200 && lua_next(L, CALLS) != 0; lua_pop(L, 1)) {
        calls[known++] = lua_tostring(L, -2); /* which the table keeps */
    }
    lua_settop(L, CLEAN_UP);
    for (int i = 0; i < known; i++) {
        fail_call(L, calls[i]);
    }
    lua_close(L);
    printf("figure: %d calls of Lua's tried under faults\n", known);
    printf("figure: %lu faults injected into Lua: allocation of Lua's\n", of_lua);
    printf("figure: %lu faults injected into Lua\n", of_lua + of_library);
    return 0;
}
