/* SPDX-License-Identifier: BSD-3-Clause */
/* A block, as the allocator has it and as the caller has it: the same, or a prefix apart that holds its size. */
#ifndef ZM_BLOCK_H
#define ZM_BLOCK_H

#include "heap/heap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef ZMALLOC_SIZE_PREFIX
enum { ZM_KNOWS_SIZE = false };
#else
enum { ZM_KNOWS_SIZE = true };
#endif

/* What stands before each of the caller's blocks where the allocator can't tell their sizes. */
struct zm_prefix {
    size_t size;
    size_t offset; /* from the allocator's block to the caller's */
};

enum {
    ZM_ALIGNMENT = _Alignof(max_align_t),
    ZM_PREFIX = ZM_KNOWS_SIZE ? 0 : (sizeof(struct zm_prefix) + ZM_ALIGNMENT - 1) / ZM_ALIGNMENT * ZM_ALIGNMENT,
};

/* The largest request. */
#define ZM_LARGEST ((size_t) PTRDIFF_MAX - ZM_PREFIX - ZM_HEAP_OVERHEAD)

/* What to ask the heap for: never 0, and never so little that it would align for less than was promised. */
static inline size_t zm_block_size(size_t size)
{
    size_t whole = size + ZM_PREFIX;
    return whole <= ZM_HEAP_UNALIGNED_UP_TO ? ZM_HEAP_UNALIGNED_UP_TO + 1 : whole;
}

/* What the allocator says that a block for so much will have. Where it can't say, no more than that is known. */
static inline size_t zm_block_good_size(size_t size)
{
    size_t good = ZM_KNOWS_SIZE ? zm_heap_good_size(zm_block_size(size)) : 0;
    return good != 0 ? good : size;
}

static inline struct zm_prefix *zm_block_prefix(void *ptr)
{
    return (struct zm_prefix *) ptr - 1;
}

static inline size_t zm_block_offset(void *ptr)
{
    return ZM_KNOWS_SIZE ? 0 : zm_block_prefix(ptr)->offset;
}

/* The allocator's block, from the caller's. */
static inline void *zm_block_of(void *ptr)
{
    return (char *) ptr - zm_block_offset(ptr);
}

/* The caller's, from the allocator's. */
static inline void *zm_block_open(void *block, size_t offset, size_t size)
{
    void *ptr = (char *) block + offset;
    if (!ZM_KNOWS_SIZE) {
        *zm_block_prefix(ptr) = (struct zm_prefix){.size = size, .offset = offset};
    }
    return ptr;
}

static inline size_t zm_block_usable(void *ptr)
{
    return ZM_KNOWS_SIZE ? zm_heap_usable_size(ptr) : zm_block_prefix(ptr)->size;
}

#endif
