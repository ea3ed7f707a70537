/* SPDX-License-Identifier: BSD-3-Clause */
/* Block: the Lua value that owns one zmalloc block. */
#ifndef BLOCK_H
#define BLOCK_H

#include "compat.h"
#include "out_of_memory.h"

#include <stdbool.h>
#include <stddef.h>

struct block {
    char *memory; /* NULL once closed */
    size_t length;
    size_t asked; /* the least size that zfree_with_size may be told */
    bool busy;    /* C is at work on the memory: see start_resize */
};

/* NULL if it is none. */
struct block *test_block(lua_State *L, int index);

struct block *to_block_or_null(lua_State *L, int index, const char *call, const char *argument);

static inline void forget_memory(struct block *block)
{
    if (block != NULL) {
        block->memory = NULL;
        block->length = 0;
        block->asked = 0;
    }
}

/* Takes the memory over; nil for NULL. Lua may have no memory left for its part: then ours goes back first. */
void push_block(lua_State *L, void *memory, size_t length);

/* As push_block, for memory from an aligned call. */
void push_aligned_block(lua_State *L, void *memory, size_t length);

/*
 * Between these two C may free or move the memory, and an out-of-memory handler may run any Lua code. The block is
 * busy: whoever would close, resize, read, write or pass it gets an error, whether or not the handler has C try
 * again.
 */
static inline void start_resize(struct block *block)
{
    if (block != NULL) {
        block->busy = true;
        memory_request.old = block->length;
    }
}

static inline void end_resize(struct block *block)
{
    if (block != NULL) {
        block->busy = false;
        memory_request.old = 0;
    }
}

/* The result of a realloc of the block, which is the first argument, or of nil, to length bytes. */
void push_moved_block(lua_State *L, struct block *block, void *memory, size_t length);

void check_extent(lua_State *L, const struct block *block, size_t length, const char *call);

/* Whether the size is one that zfree_with_size takes for the block. */
void check_known_size(lua_State *L, const struct block *block, size_t size, const char *call);

void push_extended_block(lua_State *L, struct block *block, size_t length);

/* Adds the constructor to the module on top of the stack. Scripts can't reach the metatable. */
void add_block_type(lua_State *L);

#endif
