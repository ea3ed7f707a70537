/* SPDX-License-Identifier: BSD-3-Clause */
/* See block.h. */
#include "block.h"

#include "convert.h"
#include "pressure.h"
#include "zmalloc.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

#define BLOCK_TYPE "zmalloc.Block"

struct block *test_block(lua_State *L, int index)
{
    return luaL_testudata(L, index, BLOCK_TYPE);
}

static struct block *to_open_block(lua_State *L, int index, const char *call, const char *argument)
{
    struct block *block = luaL_testudata(L, index, BLOCK_TYPE);
    if (block == NULL) {
        refuse_type(L, index, call, argument, "a Block");
    }
    if (block->busy) {
        refuse(L, call, argument, "is a Block that is being resized");
    }
    if (block->memory == NULL) {
        refuse(L, call, argument, "is a closed Block");
    }
    return block;
}

struct block *to_block_or_null(lua_State *L, int index, const char *call, const char *argument)
{
    return lua_isnil(L, index) ? NULL : to_open_block(L, index, call, argument);
}

static int push_closed_block(lua_State *L)
{
    struct block *block = lua_newuserdatauv(L, sizeof(*block), 0);
    block->busy = false;
    forget_memory(block);
    luaL_setmetatable(L, BLOCK_TYPE);
    return 1;
}

/* Its address is where each Lua state keeps push_closed_block: in 5.1 pushing a C function may fail itself. */
static const char maker_key;

void push_block(lua_State *L, void *memory, size_t length)
{
    if (memory == NULL) {
        lua_pushnil(L);
        return;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &maker_key);
    if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
        zfree(memory);
        lua_error(L);
    }
    struct block *block = lua_touserdata(L, -1);
    block->memory = memory;
    block->length = length;
    block->asked = length;
}

void push_aligned_block(lua_State *L, void *memory, size_t length)
{
    push_block(L, memory, length);
    if (memory != NULL) {
        struct block *block = lua_touserdata(L, -1);
        block->asked = zmalloc_usable_size(memory);
    }
}

void push_moved_block(lua_State *L, struct block *block, void *memory, size_t length)
{
    if (block == NULL) {
        push_block(L, memory, length);
        return;
    }
    if (memory != NULL) {
        block->memory = memory;
        block->length = length;
        block->asked = length;
        lua_pushvalue(L, 1);
        return;
    }
    if (length == 0) {
        forget_memory(block);
    }
    lua_pushnil(L);
}

void check_extent(lua_State *L, const struct block *block, size_t length, const char *call)
{
    if (length > zmalloc_usable_size(block != NULL ? block->memory : NULL)) {
        refuse(L, call, "size", "is above what may be used");
    }
}

void check_known_size(lua_State *L, const struct block *block, size_t size, const char *call)
{
    if (block != NULL && size < block->asked) {
        refuse(L, call, "size", "is below what the Block was asked for with");
    }
    if (block != NULL) {
        check_extent(L, block, size, call);
    }
}

void push_extended_block(lua_State *L, struct block *block, size_t length)
{
    if (block != NULL) {
        block->length = length;
    }
    lua_pushvalue(L, 1);
}

/* The type's own verbs. Lua passes some of them more arguments than they want. */

static int block_make(lua_State *L)
{
    if (lua_gettop(L) > 2) {
        luaL_error(L, "Block: expected 1 or 2 arguments, got %d", lua_gettop(L));
    }
    size_t size = to_size(L, 1, "Block", "size");
    if (lua_isnoneornil(L, 2)) {
        begin_call(L);
        void *memory = zcalloc(size);
        end_call(L, "Block");
        push_block(L, memory, size);
        after_pressure(L);
        return 1;
    }
    size_t alignment = to_alignment(L, 2, "Block", "alignment");
    begin_call(L);
    void *memory = zaligned_alloc(alignment, size);
    end_call(L, "Block");
    push_aligned_block(L, memset(memory, 0, size), size);
    after_pressure(L);
    return 1;
}

static int block_close(lua_State *L)
{
    struct block *block = luaL_testudata(L, 1, BLOCK_TYPE);
    if (block == NULL) {
        refuse_type(L, 1, "close", "self", "a Block");
    }
    if (block->busy) {
        refuse(L, "close", "self", "is a Block that is being resized");
    }
    zfree(block->memory);
    forget_memory(block);
    return 0;
}

/* Of a block that is busy only if a handler closes the state, which ends the process. */
static int block_collect(lua_State *L)
{
    struct block *block = luaL_testudata(L, 1, BLOCK_TYPE);
    if (block == NULL) {
        refuse_type(L, 1, "close", "self", "a Block");
    }
    if (!block->busy) {
        zfree(block->memory);
        forget_memory(block);
    }
    return 0;
}

/* Unlike zrealloc: 0 bytes are a block too, and what is added is zero. */
static int block_resize(lua_State *L)
{
    struct block *block = to_open_block(L, 1, "resize", "self");
    size_t size = to_size(L, 2, "resize", "size");
    begin_call(L);
    start_resize(block);
    char *memory = zrealloc(block->memory, size > 0 ? size : 1);
    end_resize(block);
    end_call(L, "resize");
    if (size > block->length) {
        memset(memory + block->length, 0, size - block->length);
    }
    block->memory = memory;
    block->length = size;
    block->asked = size;
    after_pressure(L);
    return 0;
}

static int block_usable(lua_State *L)
{
    push_size(L, zmalloc_usable_size(to_open_block(L, 1, "usable", "self")->memory));
    return 1;
}

static int block_length(lua_State *L)
{
    push_size(L, to_open_block(L, 1, "#", "self")->length);
    return 1;
}

/* Pushes bytes of the block as a string. Finalisers that run meanwhile may close or resize the block. */
static void push_bytes(lua_State *L, const struct block *block, size_t first, size_t count, const char *call)
{
    if (!COLLECTS_BEFORE_COPY) {
        lua_pushlstring(L, block->memory + first, count);
        return;
    }
    char few[256];
    char *copy = count <= sizeof(few) ? few : lua_newuserdatauv(L, count, 0);
    if (block->memory == NULL || first + count > block->length) {
        refuse(L, call, "self", "was closed or resized by a finaliser");
    }
    memcpy(copy, block->memory + first, count);
    lua_pushlstring(L, copy, count);
}

static int block_text(lua_State *L)
{
    struct block *block = to_open_block(L, 1, "tostring", "self");
    push_bytes(L, block, 0, block->length, "tostring");
    return 1;
}

/* b:get([i [, n]]): n bytes from the i-th on, or all the rest. */
static int block_get(lua_State *L)
{
    struct block *block = to_open_block(L, 1, "get", "self");
    int64_t length = (int64_t) block->length;
    int64_t first = lua_isnoneornil(L, 2) ? 1 : to_integer(L, 2, 1, length + 1, "get", "i");
    int64_t rest = length - (first - 1);
    int64_t count = lua_isnoneornil(L, 3) ? rest : to_integer(L, 3, 0, rest, "get", "n");
    push_bytes(L, block, (size_t) (first - 1), (size_t) count, "get");
    return 1;
}

/* b:set(i, s): the string s, from the i-th byte on; it must fit. */
static int block_set(lua_State *L)
{
    struct block *block = to_open_block(L, 1, "set", "self");
    int64_t first = to_integer(L, 2, 1, (int64_t) block->length + 1, "set", "i");
    if (lua_type(L, 3) != LUA_TSTRING) {
        refuse_type(L, 3, "set", "s", "a string");
    }
    size_t length;
    const char *text = lua_tolstring(L, 3, &length);
    if (length > block->length - (size_t) (first - 1)) {
        refuse(L, "set", "s", "does not fit");
    }
    memcpy(block->memory + (first - 1), text, length);
    return 0;
}

/* b[i] is a byte, or nil beyond the ends; b.name is a method, or nil. */
static int block_index(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TNUMBER) {
        lua_pushvalue(L, 2);
        lua_rawget(L, lua_upvalueindex(1));
        return 1;
    }
    struct block *block = to_open_block(L, 1, "[]", "self");
    int64_t i = to_integer(L, 2, LEAST_INTEGER, MOST_INTEGER, "[]", "i");
    if (i < 1 || (uint64_t) i > block->length) {
        lua_pushnil(L);
    } else {
        lua_pushinteger(L, (unsigned char) block->memory[i - 1]);
    }
    return 1;
}

static int block_newindex(lua_State *L)
{
    struct block *block = to_open_block(L, 1, "[]", "self");
    int64_t i = to_integer(L, 2, 1, (int64_t) block->length, "[]", "i");
    block->memory[i - 1] = (char) to_integer(L, 3, 0, UCHAR_MAX, "[]", "value");
    return 0;
}

static const luaL_Reg block_methods[] = {
    {"close", block_close}, {"get", block_get},       {"resize", block_resize},
    {"set", block_set},     {"usable", block_usable}, {NULL, NULL},
};

static const luaL_Reg block_metamethods[] = {
    {"__close", block_close},       {"__gc", block_collect},    {"__len", block_length},
    {"__newindex", block_newindex}, {"__tostring", block_text}, {NULL, NULL},
};

void add_block_type(lua_State *L)
{
    luaL_newmetatable(L, BLOCK_TYPE);
    luaL_setfuncs(L, block_metamethods, 0);
    luaL_newlib(L, block_methods);
    lua_pushcclosure(L, block_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, BLOCK_TYPE);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);

    lua_pushcfunction(L, push_closed_block);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &maker_key);
    lua_pushcfunction(L, block_make);
    lua_setfield(L, -2, "Block");
}
