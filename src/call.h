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
 * call needs the stack too. */
static inline size_t zm_keep(size_t size)
{
    __asm__("" : "+r"(size));
    return size;
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

#endif
