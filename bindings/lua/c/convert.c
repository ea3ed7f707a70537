/* SPDX-License-Identifier: BSD-3-Clause */
/* See convert.h. */
#include "convert.h"

#include "errors.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* luaL_error does not return either, but no Lua declares that. */

__attribute__((noreturn)) void refuse(lua_State *L, const char *call, const char *argument, const char *what)
{
    luaL_error(L, "%s: argument '%s' %s", call, argument, what);
    abort();
}

__attribute__((noreturn)) void refuse_type(lua_State *L, int index, const char *call, const char *argument,
                                           const char *wanted)
{
    luaL_error(L, "%s: argument '%s' must be %s, not %s", call, argument, wanted, luaL_typename(L, index));
    abort();
}

size_t to_alignment(lua_State *L, int index, const char *call, const char *argument)
{
    size_t alignment = to_size(L, index, call, argument);
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        refuse(L, call, argument, "must be a power of two");
    }
    return alignment;
}

long to_long(lua_State *L, int index, const char *call, const char *argument)
{
    return (long) to_integer(L, index, LONG_MIN, LONG_MAX, call, argument);
}

long to_pid(lua_State *L, int index, const char *call, const char *argument)
{
    return lua_isnoneornil(L, index) ? -1 : to_long(L, index, call, argument);
}

int to_int(lua_State *L, int index, const char *call, const char *argument)
{
    return (int) to_integer(L, index, INT_MIN, INT_MAX, call, argument);
}

int to_walk(lua_State *L, int index, const char *call, const char *argument)
{
    return lua_isnil(L, index) ? 0 : to_switch(L, index, call, argument);
}

int to_switch(lua_State *L, int index, const char *call, const char *argument)
{
    if (lua_isboolean(L, index)) {
        return lua_toboolean(L, index);
    }
    return to_int(L, index, call, argument);
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

const char *to_field(lua_State *L, int index, const char *call, const char *argument)
{
    const char *field = to_text(L, index, call, argument, "a string");
    if (*field == '\0') {
        refuse(L, call, argument, "must not be empty");
    }
    return field;
}

const char *to_string_or_null(lua_State *L, int index, const char *call, const char *argument)
{
    return lua_isnil(L, index) ? NULL : to_text(L, index, call, argument, "a string or nil");
}

void *to_null(lua_State *L, int index, const char *call, const char *argument)
{
    if (!lua_isnil(L, index)) {
        refuse_type(L, index, call, argument, "nil, as scripts never hold a libc block");
    }
    return NULL;
}

void make_place(lua_State *L, const void *key)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, key);
    if (lua_isnil(L, -1)) {
        lua_pushboolean(L, 0);
        lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    }
    lua_pop(L, 1);
}

void check_status(lua_State *L, int status, const char *call)
{
    if (status < 0) {
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): of a number that the system has, the text is a constant */
        luaL_error(L, "%s: %s (errno %d)", call, strerror(-status), -status);
    }
}

void check_published_status(lua_State *L, int status, const char *call, const struct zmalloc_published *published)
{
    if (status < 0 && status != -EINVAL) {
        refusal_text text;
        write_published_error(text, call, -status, published);
        luaL_error(L, "%s (errno %d)", text, -status);
    }
    check_status(L, status, call);
}

void check_field_status(lua_State *L, int status, const char *call, const char *field)
{
    if (status == -ENOENT) {
        field_name near;
        if (near_field(field, near)) {
            luaL_error(L, "%s: no field '%s': did you mean '%s'? (errno %d)", call, field, near, ENOENT);
        }
        luaL_error(L, "%s: no field '%s' (errno %d)", call, field, ENOENT);
    }
    check_status(L, status, call);
}
