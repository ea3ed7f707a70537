/* SPDX-License-Identifier: BSD-3-Clause */
/* What a call claims of the limits before it asks for a block, which may turn out larger than was thought. */
#ifndef ZM_CLAIM_H
#define ZM_CLAIM_H

#include "heap/block.h"
#include "limit/limit.h"
#include "util/set_if.h"

/* What it may have once it has grown, when it can't be had back as it was. */
static inline size_t zm_claim_largest_size(size_t size)
{
    return ZM_KNOWS_SIZE ? zm_heap_most_size(zm_block_size(size)) : zm_block_good_size(size);
}

/* Claims what the block would add to the bytes in use; where that can't be said, it is looked at once it is there.
 * Requests too large for any allocator are refused here too. */
static inline struct zm_claim zm_claim(size_t size, size_t offset, size_t old, size_t (*expected_size)(size_t))
{
    if (size > ZM_LARGEST) {
        return (struct zm_claim){.granted = false};
    }
    if (!zm_limit_is_set()) {
        return (struct zm_claim){.granted = true};
    }
    return zm_limit_claim(expected_size(size) + offset, old);
}

static inline struct zm_claim zm_claim_new(size_t size, size_t offset)
{
    return zm_claim(size, offset, 0, zm_block_good_size);
}

/* The block, if there is room for what it has beyond the old one. */
static inline void *zm_claim_keep(struct zm_claim *claim, void *block, size_t old)
{
    if (!ZM_KNOWS_SIZE || block == NULL || claim->quota == NULL) {
        return block;
    }
    size_t bytes = zm_heap_usable_size(block);
    size_t reserved = claim->bytes + (claim->at_once ? 0 : old);
    if (bytes > reserved && !zm_limit_extend(claim, bytes - reserved, old)) {
        zm_heap_free(block);
        return NULL;
    }
    return block;
}

/* The end of a claim, and of each call that made one: what the caller gets is in the account now. */
static inline void *zm_claim_commit(const struct zm_claim *claim, void *ptr)
{
    if (claim->quota != NULL) {
        zm_limit_commit(claim, ptr != NULL);
    }
    return ptr;
}

/*
 * Small new blocks are had by this thread's credit alone: claim, allocate, hand out. Either may say no; then all is
 * to be done from the start. Where it is known before what the block will count, that is claimed before; elsewhere
 * after, and the block is asked for, or goes, if there is no credit for it.
 */
enum { ZM_CLAIM_BEFORE = ZM_COUNTED_BY_ALLOCATOR || !ZM_KNOWS_SIZE || ZM_HARDENED };

/* Or enough is known: an allocator that counts does so exactly, and none of its classes is twice as large as a
 * request, but for the smallest. */
static inline size_t zm_claim_before(size_t size)
{
    enum { SMALLEST = 16 };
    return ZM_COUNTED_BY_ALLOCATOR ? 2 * size + SMALLEST : size + ZM_PREFIX;
}

static inline bool zm_claim_small(struct zm_thread *self, size_t size)
{
    enum { LEAST = ZM_KNOWS_SIZE ? ZM_HEAP_UNALIGNED_UP_TO + 1 : 0, MOST = 8192 };
    return ZM_LIKELY(size - LEAST <= MOST - LEAST) &&
           ZM_LIKELY(ZM_CLAIM_BEFORE ? zm_quota_use(self, zm_claim_before(size)) : zm_quota_has_credit(self));
}

/* For a block that is there, and is not counted yet. */
static __attribute__((noinline, unused)) void *zm_claim_ask(void *block, size_t bytes)
{
    struct zm_claim claim = zm_limit_claim(bytes, 0);
    if (!claim.granted) {
        zm_heap_free(block);
        return NULL;
    }
    zm_account_allocated(bytes);
    return zm_claim_commit(&claim, block);
}

static inline __attribute__((always_inline)) void *zm_claim_hand_out_small(struct zm_thread *self, void *block,
                                                                           size_t size)
{
    size_t bytes = zm_claim_before(size);
    if (!ZM_LIKELY(block != NULL)) {
        if (ZM_CLAIM_BEFORE) {
            zm_quota_commit(self, bytes);
        }
        return NULL;
    }
    if (!ZM_CLAIM_BEFORE) {
        bytes = zm_heap_granted_size(block, size);
        if (!ZM_LIKELY(zm_quota_use(self, bytes))) {
            return zm_claim_ask(block, bytes);
        }
    }
    zm_account_allocated_when_live(self, bytes);
    zm_quota_commit(self, bytes);
    return zm_block_open(block, ZM_PREFIX, size);
}

#endif
