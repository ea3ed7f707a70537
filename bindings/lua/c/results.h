/* SPDX-License-Identifier: BSD-3-Clause */
/* What C calls tell as Lua's values: structs are tables, what is unknown is nil, no limit is math.huge. */
#ifndef RESULTS_H
#define RESULTS_H

#include "compat.h"
#include "records.h"
#include "zmalloc.h"

#include <stddef.h>

void push_known_size(lua_State *L, size_t size);

/* For zmalloc.lua, which takes it away. */
void add_size_bits(lua_State *L);

/* The name for no limit. Those for what is unknown are nil. */
void add_no_limit(lua_State *L);

/* nil for NULL. */
void push_integer_or_none(lua_State *L, const long long *integer);

/* Three results, and two. */
void push_allocator_info(lua_State *L, const size_t figures[3]);
void push_decay(lua_State *L, const long times[2]);

void push_memory_limits(lua_State *L, const struct zmalloc_memory_limits *limits);

void push_defrag(lua_State *L, const struct zmalloc_defrag *done);

void push_report(lua_State *L, const struct zmalloc_report *report);

void push_published(lua_State *L, const struct zmalloc_published *published);

void push_fields(lua_State *L, const struct zmalloc_field *fields, size_t count);

struct records *push_records(lua_State *L);

void add_records_type(lua_State *L);

void push_mappings(lua_State *L, struct records *records);

#endif
