/* SPDX-License-Identifier: BSD-3-Clause */
/* What the z* calls have in common: the fast path's condition, and a block that becomes the caller's or the heap's.
 */
#ifndef ZM_CALL_H
#define ZM_CALL_H

#include "account/account.h"
#include "heap/block.h"
#include "util/set_if.h"

#include <stdbool.h>
#include <stddef.h>

/* Makes the allocator's block, if there is one, the caller's: its size is noted, counted and reported. It is inlined
 * in every call: to call it would add a fifth to the instructions that counting takes. */
static inline __attribute__((always_inline)) void *zm_hand_out_aligned(void *block, size_t offset, size_t size,
                                                                       size_t *usable)
{
    if (block == NULL) {
        zm_set_if(usable, 0);
        return NULL;
    }
    void *ptr = zm_block_open(block, offset, size);
    if (ZM_COUNTED_BY_ALLOCATOR && usable == NULL && zm_account_is_live()) {
        return ptr;
    }
    size_t bytes = zm_block_usable(ptr);
    zm_account_allocated(bytes + offset);
    zm_set_if(usable, bytes);
    return ptr;
}

static inline void *zm_hand_out(void *block, size_t size, size_t *usable)
{
    return zm_hand_out_aligned(block, ZM_PREFIX, size, usable);
}

/* A copy to keep over a call. Else a compiler keeps the parameter from the start on, and a way out that is before the
 * call needs the stack too. Where what is granted is in a table, it is kept as the table rounds it: to copy and to
 * add is one instruction. */
static inline size_t zm_keep(size_t size)
{
    size_t kept = size + ZM_HEAP_GRANTS_ROUNDING;
    __asm__("" : "+r"(kept));
    return kept - ZM_HEAP_GRANTS_ROUNDING;
}

/* Kept out of the functions that first try the fast path, which then need no stack for it. */
#define ZM_SLOW_PATH __attribute__((noinline))

/* The fast paths, for most blocks of most threads: nothing but the allocator's call and, where the allocator does not
 * count, one counter. Where a fast path does not apply or fails, the slow path starts from the beginning. */
static inline bool zm_may_be_fast(const struct zm_thread *self, size_t size)
{
    return ZM_KNOWS_SIZE && ZM_LIKELY(size > zm_gate_of(self)) &&
           (ZM_COUNTED_BY_ALLOCATOR || ZM_LIKELY(size <= ZM_HEAP_GRANTS_UP_TO));
}

/*
 * Where the thread's own memory is looked up by a call, who makes a block does that once the block is there: there is
 * less to keep over the allocator's call. Not where the allocator counts: there the thread is to be live before.
 */
enum { ZM_SELF_COMES_LATE = ZM_SELF_IS_LOOKED_UP && ZM_HEAP_GRANTS_ROUNDING != 0 && !ZM_COUNTED_BY_ALLOCATOR };

static inline struct zm_thread *zm_early_self(void)
{
    return ZM_SELF_COMES_LATE ? NULL : zm_thread_self();
}

/* For a new block. */
static inline bool zm_new_may_be_fast(const struct zm_thread *early, size_t size)
{
    return ZM_SELF_COMES_LATE ? ZM_KNOWS_SIZE && ZM_LIKELY(size - ZM_HEAP_UNALIGNED_UP_TO - 1 < zm_gate_sizes())
                              : zm_may_be_fast(early, size);
}

/* The block is there, and the thread is not live. */
static ZM_SLOW_PATH __attribute__((unused)) void *zm_count_unexpected(void *block, size_t size, size_t *usable)
{
    zm_account_expect_block();
    return zm_hand_out(block, size, usable);
}

/* A new block by the fast path, or NULL. */
static inline void *zm_count_fast(struct zm_thread *early, void *block, size_t size, size_t *usable)
{
    if ((ZM_COUNTED_BY_ALLOCATOR && usable == NULL) || !ZM_LIKELY(block != NULL)) {
        return block;
    }
    struct zm_thread *self = ZM_SELF_COMES_LATE ? zm_thread_self() : early;
    if (ZM_SELF_COMES_LATE && !ZM_LIKELY(zm_gate_of(self) != ZM_NOT_LIVE)) {
        return zm_count_unexpected(block, size, usable);
    }
    size_t bytes = zm_heap_granted_size(block, size);
    zm_account_allocated_when_live(self, bytes);
    zm_set_if(usable, bytes);
    return block;
}

/* Whether a block's size is counted by its fast free. */
enum { ZM_COUNTS_FREED = ZM_KNOWS_SIZE && !ZM_COUNTED_BY_ALLOCATOR };

/*
 * A free by the fast path: counts the block, which is then to be released; or false, with nothing done. Where the
 * thread's own memory has to be looked up, the size comes first: there is less to keep over that call.
 */
static inline bool zm_count_freed_fast(void *ptr, size_t *bytes)
{
    if (ZM_COUNTS_FREED && ZM_SELF_IS_LOOKED_UP) {
        *bytes = zm_heap_usable_size(ptr);
    }
    struct zm_thread *self = zm_thread_self();
    if (!ZM_KNOWS_SIZE || !ZM_LIKELY(zm_gate_of(self) != ZM_NOT_LIVE)) {
        return false;
    }
    if (ZM_COUNTS_FREED && !ZM_SELF_IS_LOOKED_UP) {
        *bytes = zm_heap_live_usable_size(ptr);
    }
    if (ZM_COUNTS_FREED) {
        zm_account_freed_when_live(self, *bytes);
    }
    return true;
}

static inline void zm_release_fast(void *ptr, size_t bytes)
{
    if (ZM_COUNTS_FREED) {
        zm_heap_free_sized(ptr, bytes);
    } else {
        zm_heap_free(ptr);
    }
}

#endif
