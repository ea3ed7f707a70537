/* SPDX-License-Identifier: BSD-3-Clause */
/* Between Lua's values and C's: what doesn't fit is a Lua error that names the call and the argument. */
#ifndef CONVERT_H
#define CONVERT_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static int refuse(lua_State *L, const char *call, const char *argument, const char *what)
{
    return luaL_error(L, "%s: argument '%s' %s", call, argument, what);
}

static int refuse_type(lua_State *L, int index, const char *call, const char *argument, const char *wanted)
{
    return luaL_error(L, "%s: argument '%s' must be %s, not %s", call, argument, wanted, luaL_typename(L, index));
}

/* Floats that are whole are integers, as everywhere in Lua; strings are not. */
static int64_t to_integer(lua_State *L, int index, int64_t least, int64_t most, const char *call,
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

static size_t to_size(lua_State *L, int index, const char *call, const char *argument)
{
    int64_t most = (uint64_t) MOST_INTEGER < SIZE_MAX ? MOST_INTEGER : (int64_t) SIZE_MAX;
    return (size_t) to_integer(L, index, 0, most, call, argument);
}

static size_t to_alignment(lua_State *L, int index, const char *call, const char *argument)
{
    size_t alignment = to_size(L, index, call, argument);
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        refuse(L, call, argument, "must be a power of two");
    }
    return alignment;
}

static int to_switch(lua_State *L, int index, const char *call, const char *argument)
{
    if (lua_isboolean(L, index)) {
        return lua_toboolean(L, index);
    }
    return (int) to_integer(L, index, INT_MIN, INT_MAX, call, argument);
}

/* The text belongs to the value on the stack. */
static const char *to_text(lua_State *L, int index, const char *call, const char *argument, const char *wanted)
{
    if (lua_type(L, index) != LUA_TSTRING) {
        refuse_type(L, index, call, argument, wanted);
    }
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    if (strlen(text) != length) {
        refuse(L, call, argument, "must not hold a NUL");
    }
    return text;
}

static const char *to_field(lua_State *L, int index, const char *call, const char *argument)
{
    const char *field = to_text(L, index, call, argument, "a string");
    if (*field == '\0') {
        refuse(L, call, argument, "must not be empty");
    }
    return field;
}

static const char *to_string_or_null(lua_State *L, int index, const char *call, const char *argument)
{
    return lua_isnil(L, index) ? NULL : to_text(L, index, call, argument, "a string or nil");
}

static void to_null(lua_State *L, int index, const char *call, const char *argument)
{
    if (!lua_isnil(L, index)) {
        refuse_type(L, index, call, argument, "nil, as scripts never hold a libc block");
    }
}

/* An integer; what lies above all of Lua's becomes the nearest float, as it does in Lua's own numerals. */
static void push_size(lua_State *L, size_t size)
{
    if (size <= (uint64_t) MOST_INTEGER) {
        push_integer(L, (int64_t) size);
    } else {
        lua_pushnumber(L, (lua_Number) size);
    }
}

static void check_status(lua_State *L, int status, const char *call)
{
    if (status < 0) {
        luaL_error(L, "%s: %s (errno %d)", call, strerror(-status), -status);
    }
}

static void check_field_status(lua_State *L, int status, const char *call, const char *field)
{
    if (status == -ENOENT) {
        luaL_error(L, "%s: no field '%s' (errno %d)", call, field, ENOENT);
    }
    check_status(L, status, call);
}

#endif
