/* SPDX-License-Identifier: BSD-3-Clause */
/* What a call claims of the limits before it asks for a block, which may turn out larger than was thought. */
#ifndef ZM_CLAIM_H
#define ZM_CLAIM_H

#include "heap/block.h"
#include "limit/limit.h"

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
    size_t bytes = expected_size(size) + offset;
    return zm_limit_claim(bytes > old ? bytes - old : 0);
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
    size_t reserved = claim->bytes + old;
    if (bytes > reserved && !zm_limit_extend(claim, bytes - reserved)) {
        zm_heap_free(block);
        return NULL;
    }
    return block;
}

/* The end of a claim, and of each call that made one: what the caller gets is in the account now. */
static inline void *zm_claim_commit(const struct zm_claim *claim, void *ptr)
{
    if (claim->quota != NULL) {
        zm_limit_commit(claim);
    }
    return ptr;
}

#endif
