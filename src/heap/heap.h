/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the z* calls have their blocks from: the allocator, or in a hardened build what stands before it. */
#ifndef ZM_HEAP_H
#define ZM_HEAP_H

#include "allocator/allocator.h"
#include "hardened/hardened.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All as in allocator.h, but for the names. A hardened heap aligns every size and grants what was asked for. */
enum {
    ZM_HEAP_UNALIGNED_UP_TO = ZM_HARDENED ? 0 : ZM_ALLOCATOR_UNALIGNED_UP_TO,
    ZM_HEAP_ALIGNS_CLASSES = ZM_HARDENED ? false : ZM_ALLOCATOR_ALIGNS_CLASSES,
    ZM_HEAP_COUNTS = ZM_HARDENED ? false : ZM_ALLOCATOR_COUNTS,
    ZM_HEAP_OVERHEAD = ZM_HARDENED ? 2 * ZM_REDZONE : 0, /* or more, with a large alignment */
    ZM_HEAP_GOES_ON = ZM_HARDENED ? false : ZM_ALLOCATOR_GOES_ON,
    ZM_HEAP_GRANTS_ROUNDING = ZM_HARDENED ? 0 : ZM_ALLOCATOR_GRANTS_ROUNDING,
};
#define ZM_HEAP_GRANTS_UP_TO (ZM_HARDENED ? SIZE_MAX : ZM_ALLOCATOR_GRANTS_UP_TO)

/* What the allocator is asked for in a hardened build; where that is too large for any, it is told so. */
static inline size_t zm_heap_enclosing(size_t offset, size_t size)
{
    return size <= PTRDIFF_MAX ? offset + size + ZM_REDZONE : SIZE_MAX;
}

static inline void *zm_heap_allocate(size_t size)
{
    return ZM_HARDENED
               ? zm_hardened_open(zm_allocator_allocate(zm_heap_enclosing(ZM_REDZONE, size)), ZM_REDZONE, size)
               : zm_allocator_allocate(size);
}

static inline void *zm_heap_allocate_zeroed(size_t size)
{
    return ZM_HARDENED
               ? zm_hardened_open(zm_allocator_allocate_zeroed(zm_heap_enclosing(ZM_REDZONE, size)), ZM_REDZONE, size)
               : zm_allocator_allocate_zeroed(size);
}

static inline void *zm_heap_allocate_uncached(size_t size)
{
    return ZM_HARDENED ? zm_hardened_open(zm_allocator_allocate_uncached(zm_heap_enclosing(ZM_REDZONE, size)),
                                          ZM_REDZONE, size)
                       : zm_allocator_allocate_uncached(size);
}

/* Both together are at most PTRDIFF_MAX less ZM_HEAP_OVERHEAD. */
static inline void *zm_heap_allocate_aligned(size_t alignment, size_t size)
{
    if (!ZM_HARDENED) {
        return zm_allocator_allocate_aligned(alignment, size);
    }
    size_t offset = alignment < ZM_REDZONE ? ZM_REDZONE : alignment;
    return zm_hardened_open(zm_allocator_allocate_aligned(alignment, zm_heap_enclosing(offset, size)), offset, size);
}

/* If ZM_HEAP_GOES_ON. */
static inline void *zm_heap_allocate_or(size_t size, void *(*next)(size_t size))
{
    return zm_allocator_allocate_or(size, next);
}

static inline void *zm_heap_allocate_slow(size_t size)
{
    return zm_allocator_allocate_slow(size);
}

/* A hardened one always moves: who still uses the old place is found out. */
static inline void *zm_heap_reallocate(void *ptr, size_t size)
{
    return ZM_HARDENED ? zm_hardened_move(ptr, zm_heap_allocate(size), size) : zm_allocator_reallocate(ptr, size);
}

static inline void zm_heap_free(void *ptr)
{
    ZM_HARDENED ? zm_hardened_free(ptr) : zm_allocator_free(ptr);
}

static inline void zm_heap_free_sized(void *ptr, size_t usable)
{
    ZM_HARDENED ? zm_hardened_free(ptr) : zm_allocator_free_sized(ptr, usable);
}

static inline void zm_heap_free_uncached(void *ptr)
{
    ZM_HARDENED ? zm_hardened_free(ptr) : zm_allocator_free_uncached(ptr);
}

static inline size_t zm_heap_usable_size(void *ptr)
{
    return ZM_HARDENED ? zm_hardened_usable_size(ptr) : zm_allocator_usable_size(ptr);
}

/* For a thread that is live: the first one has asked. */
static inline size_t zm_heap_live_usable_size(void *ptr)
{
    return ZM_HARDENED ? zm_hardened_usable_size(ptr) : zm_allocator_next_usable_size(ptr);
}

static inline size_t zm_heap_good_size(size_t size)
{
    return ZM_HARDENED ? size : zm_allocator_good_size(size);
}

static inline size_t zm_heap_most_size(size_t size)
{
    return ZM_HARDENED ? size : zm_allocator_most_size(size);
}

static inline bool zm_heap_grants(void)
{
    return ZM_HARDENED ? true : zm_allocator_grants();
}

static inline size_t zm_heap_granted_size(void *ptr, size_t size)
{
    return ZM_HARDENED ? size : zm_allocator_granted_size(ptr, size);
}

/* The place for a block that moves: it is one of so many bytes, and aligned for any alignment that was asked for. */
static inline void *zm_heap_allocate_for_move(void *ptr, size_t size)
{
    return ZM_HARDENED ? zm_hardened_allocate_for_move(ptr) : zm_allocator_allocate_for_move(ptr, size);
}

static inline int zm_heap_defrag_hint(void *ptr, struct zm_defrag_hint *hint)
{
    return zm_allocator_defrag_hint(ZM_HARDENED ? zm_hardened_block_of(ptr) : ptr, hint);
}

static inline int zm_heap_purge(const char *call)
{
    if (ZM_HARDENED) {
        zm_hardened_empty_quarantine(call);
    }
    return zm_allocator_purge();
}

/* The first thing in each call that is given a pointer: whether it may be given this one. See hardened.h. */

static inline void zm_heap_expect(void *ptr, const char *call)
{
    if (ZM_HARDENED) {
        zm_hardened_expect(ptr, call);
    }
}

static inline void zm_heap_expect_size(void *ptr, size_t size, const char *call)
{
    if (ZM_HARDENED) {
        zm_hardened_expect_size(ptr, size, call);
    }
}

static inline void zm_heap_expect_room(void *ptr, size_t size, const char *call)
{
    if (ZM_HARDENED) {
        zm_hardened_expect_room(ptr, size, call);
    }
}

static inline void zm_heap_expect_foreign(void *ptr, const char *call)
{
    if (ZM_HARDENED) {
        zm_hardened_expect_foreign(ptr, call);
    }
}

#endif
