/* SPDX-License-Identifier: BSD-3-Clause */
/* See results.h. */
#include "results.h"

#include "convert.h"
#include "struct_fields.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>

void push_known_size(lua_State *L, size_t size)
{
    if (size == ZMALLOC_UNKNOWN) {
        lua_pushnil(L);
    } else if (size == ZMALLOC_NO_LIMIT) {
        lua_pushnumber(L, (lua_Number) INFINITY);
    } else {
        push_size(L, size);
    }
}

static void push_difference(lua_State *L, int64_t difference)
{
    if (difference == ZMALLOC_UNKNOWN_DIFFERENCE) {
        lua_pushnil(L);
    } else {
        push_integer(L, difference);
    }
}

static void push_ratio(lua_State *L, double ratio)
{
    if (isnan(ratio)) {
        lua_pushnil(L);
    } else {
        lua_pushnumber(L, ratio);
    }
}

#define PUSH_FIGURE(L, figure)                                                                                       \
    _Generic((figure), size_t : push_known_size, int64_t : push_difference, double : push_ratio)(L, figure)

void add_size_bits(lua_State *L)
{
    lua_pushinteger(L, CHAR_BIT * sizeof(size_t));
    lua_setfield(L, -2, "size_bits");
}

void add_no_limit(lua_State *L)
{
    push_known_size(L, ZMALLOC_NO_LIMIT);
    lua_setfield(L, -2, "ZMALLOC_NO_LIMIT");
}

void push_integer_or_none(lua_State *L, const long long *integer)
{
    if (integer != NULL) {
        push_integer(L, *integer);
    } else {
        lua_pushnil(L);
    }
}

void push_allocator_info(lua_State *L, const size_t figures[3])
{
    for (int i = 0; i < 3; i++) {
        push_known_size(L, figures[i]);
    }
}

void push_decay(lua_State *L, const long times[2])
{
    push_integer(L, times[0]);
    push_integer(L, times[1]);
}

void push_memory_limits(lua_State *L, const struct zmalloc_memory_limits *limits)
{
    lua_newtable(L);
#define PUSH_LIMIT(name)                                                                                             \
    push_known_size(L, limits->name);                                                                                \
    lua_setfield(L, -2, #name);
    zmalloc_memory_limits_fields(PUSH_LIMIT)
}

void push_defrag(lua_State *L, const struct zmalloc_defrag *done)
{
    lua_newtable(L);
#define PUSH_COUNTED(name)                                                                                           \
    push_size(L, done->name);                                                                                        \
    lua_setfield(L, -2, #name);
    zmalloc_defrag_fields(PUSH_COUNTED)
}

void push_report(lua_State *L, const struct zmalloc_report *report)
{
    lua_newtable(L);
#define PUSH_FIELD(name)                                                                                             \
    PUSH_FIGURE(L, report->name);                                                                                    \
    lua_setfield(L, -2, #name);
    zmalloc_report_fields(PUSH_FIELD)
}

/* Until the year 2262 the longest of these numbers is one of Lua's integers. */
static void push_whole(lua_State *L, uint64_t number)
{
    push_integer(L, (int64_t) number);
}

static void push_text(lua_State *L, const char *text)
{
    lua_pushstring(L, text);
}

#define PUSH_PUBLISHED(L, figure)                                                                                    \
    _Generic((figure), size_t : push_known_size, const char * : push_text, default : push_whole)(L, figure)

void push_published(lua_State *L, const struct zmalloc_published *published)
{
    lua_newtable(L);
#define PUSH_TOLD(name)                                                                                              \
    PUSH_PUBLISHED(L, published->name);                                                                              \
    lua_setfield(L, -2, #name);
    zmalloc_published_fields(PUSH_TOLD)
}

void push_fields(lua_State *L, const struct zmalloc_field *fields, size_t count)
{
    lua_createtable(L, 0, (int) count);
    for (size_t i = 0; i < count; i++) {
        push_size(L, fields[i].bytes);
        lua_setfield(L, -2, fields[i].name);
    }
}

/* Records that are freed even if an error leaves the call that is at work on them. */

#define RECORDS_TYPE "zmalloc.records"

static int records_gc(lua_State *L)
{
    forget_records(lua_touserdata(L, 1));
    return 0;
}

struct records *push_records(lua_State *L)
{
    struct records *records = lua_newuserdatauv(L, sizeof(*records), 0);
    *records = (struct records){0};
    luaL_setmetatable(L, RECORDS_TYPE);
    return records;
}

void add_records_type(lua_State *L)
{
    luaL_newmetatable(L, RECORDS_TYPE);
    lua_pushcfunction(L, records_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

static void set_address(lua_State *L, const char *name, uint64_t address)
{
    push_address(L, address);
    lua_setfield(L, -2, name);
}

static void push_record(lua_State *L, const struct records *records, const struct record *record)
{
    lua_createtable(L, 0, 6);
    set_address(L, "begin", record->begin);
    set_address(L, "end", record->end);
    set_address(L, "offset", record->offset);
    lua_pushstring(L, record->permissions);
    lua_setfield(L, -2, "permissions");
    lua_pushlstring(L, record_path(record), record->path_length);
    lua_setfield(L, -2, "path");
    lua_createtable(L, 0, (int) record->count);
    for (size_t i = 0; i < record->count; i++) {
        push_size(L, record_figures(record)[i]);
        lua_setfield(L, -2, record_names(records, record)[i]);
    }
    lua_setfield(L, -2, "fields");
}

void push_mappings(lua_State *L, struct records *records)
{
    lua_createtable(L, records->count < INT_MAX ? (int) records->count : 0, 0);
    size_t position = 0;
    for (size_t i = 0; i < records->count; i++) {
        const struct record *record = record_at(records, position);
        push_record(L, records, record);
        lua_rawseti(L, -2, (int) i + 1);
        position += record->size;
    }
    forget_records(records);
}
