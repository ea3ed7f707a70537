/* SPDX-License-Identifier: BSD-3-Clause */
/* Between Lua's values and C's: what doesn't fit is a Lua error that names the call and the argument. */
#ifndef CONVERT_H
#define CONVERT_H

#include "compat.h"
#include "zmalloc.h"

#include <stddef.h>
#include <stdint.h>

__attribute__((noreturn)) void refuse(lua_State *L, const char *call, const char *argument, const char *what);

__attribute__((noreturn)) void refuse_type(lua_State *L, int index, const char *call, const char *argument,
                                           const char *wanted);

/* What every call of a Block needs is in the header, as inline functions. */

/* Floats that are whole are integers, as everywhere in Lua; strings are not. */
static inline int64_t to_integer(lua_State *L, int index, int64_t least, int64_t most, const char *call,
                                 const char *argument)
{
    if (lua_type(L, index) != LUA_TNUMBER) {
        refuse_type(L, index, call, argument, "an integer");
    }
    int64_t number;
    if (!is_whole(L, index, &number)) {
        refuse(L, call, argument, "has no integer representation");
    }
    if (number < least || number > most) {
        refuse(L, call, argument, least == 0 && number < 0 ? "must not be negative" : "is out of range");
    }
    return number;
}

static inline size_t to_size(lua_State *L, int index, const char *call, const char *argument)
{
    int64_t most = (uint64_t) MOST_INTEGER < SIZE_MAX ? MOST_INTEGER : (int64_t) SIZE_MAX;
    return (size_t) to_integer(L, index, 0, most, call, argument);
}

size_t to_alignment(lua_State *L, int index, const char *call, const char *argument);

int to_switch(lua_State *L, int index, const char *call, const char *argument);

const char *to_field(lua_State *L, int index, const char *call, const char *argument);

const char *to_string_or_null(lua_State *L, int index, const char *call, const char *argument);

/* What is left out or nil is this process. */
long to_pid(lua_State *L, int index, const char *call, const char *argument);

long to_long(lua_State *L, int index, const char *call, const char *argument);

int to_int(lua_State *L, int index, const char *call, const char *argument);

/* nil is none. */
int to_walk(lua_State *L, int index, const char *call, const char *argument);

void *to_null(lua_State *L, int index, const char *call, const char *argument);

/* An integer; what lies above all of Lua's becomes the nearest float, as it does in Lua's own numerals. */
static inline void push_size(lua_State *L, size_t size)
{
    if (size <= (uint64_t) MOST_INTEGER) {
        push_integer(L, (int64_t) size);
    } else {
        lua_pushnumber(L, (lua_Number) size);
    }
}

/* A value, or false for nil. A table's place for one is kept, where one for nil would be given up. */
static inline void push_or_false(lua_State *L, int index)
{
    if (lua_isnil(L, index)) {
        lua_pushboolean(L, 0);
    } else {
        lua_pushvalue(L, index);
    }
}

/* A place in the registry, with false in it if it is new. */
void make_place(lua_State *L, const void *key);

void check_status(lua_State *L, int status, const char *call);

void check_published_status(lua_State *L, int status, const char *call, const struct zmalloc_published *published);

void check_field_status(lua_State *L, int status, const char *call, const char *field);

#endif
