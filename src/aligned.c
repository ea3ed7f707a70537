/* SPDX-License-Identifier: BSD-3-Clause */
/* The z* calls for blocks that are aligned for more than max_align_t. */
#include "call.h"
#include "limit/claim.h"
#include "oom.h"
#include "zmalloc.h"

static bool is_power_of_two(size_t number)
{
    return number != 0 && (number & (number - 1)) == 0;
}

static inline void *count_fast(struct zm_thread *self, void *block, size_t bytes, size_t *usable)
{
    zm_account_allocated_when_live(self, bytes);
    zm_set_if(usable, bytes);
    return block;
}

/* A plain block of a rounded size: what the allocator would do too, once it has found out that it may. */
static inline void *round_fast(struct zm_thread *self, size_t alignment, size_t size, size_t *usable)
{
    size_t rounded = (size + alignment - 1) & -alignment;
    void *block = zm_heap_allocate(rounded);
    if (ZM_LIKELY(block != NULL && (uintptr_t) block % alignment == 0)) {
        return count_fast(self, block, zm_heap_granted_size(block, rounded), usable);
    }
    zm_heap_free(block);
    return NULL;
}

/* For alignments and sizes up to a page, and others as the allocator does them. */
static inline void *aligned_fast(size_t alignment, size_t size, size_t *usable)
{
    enum { UP_TO = 4096 };
    struct zm_thread *self = zm_thread_self();
    if (!zm_may_be_fast(self, size) || alignment - ZM_ALIGNMENT > UP_TO - ZM_ALIGNMENT ||
        !is_power_of_two(alignment)) {
        return NULL;
    }
    if (ZM_HEAP_ALIGNS_CLASSES && size <= UP_TO) {
        return round_fast(self, alignment, size, usable);
    }
    void *block = zm_heap_allocate_aligned(alignment, size);
    if (!ZM_LIKELY(block != NULL)) {
        return NULL;
    }
    bool needs_size = !ZM_COUNTED_BY_ALLOCATOR || usable != NULL;
    return count_fast(self, block, needs_size ? zm_heap_live_usable_size(block) : 0, usable);
}

/* The request whose size class the block will have, for one that is counted before its size could be looked at. */
static inline size_t expected(size_t alignment, size_t size)
{
    enum { UP_TO = 4096 };
    bool is_rounded = ZM_COUNTED_BY_ALLOCATOR && alignment <= UP_TO && size <= UP_TO;
    return is_rounded ? (size + alignment - 1) & -alignment : size;
}

static inline void *try_once(size_t alignment, size_t size, size_t *usable)
{
    if (!is_power_of_two(alignment)) {
        zm_set_if(usable, 0);
        return NULL;
    }
    zm_account_expect_block();
    size_t at = alignment < ZM_ALIGNMENT ? ZM_ALIGNMENT : alignment;
    size_t offset = ZM_KNOWS_SIZE ? 0 : at > ZM_PREFIX ? at : ZM_PREFIX;
    bool fits = at <= ZM_LARGEST && size <= ZM_LARGEST - at;
    struct zm_claim claim = zm_claim_new(fits ? expected(at, size) : SIZE_MAX, offset);
    void *block = claim.granted ? zm_heap_allocate_aligned(at, zm_block_size(size) - ZM_PREFIX + offset) : NULL;
    return zm_claim_commit(&claim, zm_hand_out_aligned(zm_claim_keep(&claim, block, 0), offset, size, usable));
}

static ZM_SLOW_PATH void *try_aligned_slow(size_t alignment, size_t size, size_t *usable)
{
    return try_once(alignment, size, usable);
}

static ZM_SLOW_PATH void *aligned_slow(size_t alignment, size_t size, size_t *usable)
{
    unsigned tries = 0;
    void *ptr;
    do {
        ptr = try_once(alignment, size, usable);
    } while (ptr == NULL && zm_oom_try_again(size, &tries));
    return ptr;
}

void *ztryaligned_alloc_usable(size_t alignment, size_t size, size_t *usable)
{
    void *ptr = aligned_fast(alignment, size, usable);
    return ZM_LIKELY(ptr != NULL) ? ptr : try_aligned_slow(alignment, size, usable);
}

void *ztryaligned_alloc(size_t alignment, size_t size)
{
    void *ptr = aligned_fast(alignment, size, NULL);
    return ZM_LIKELY(ptr != NULL) ? ptr : try_aligned_slow(alignment, size, NULL);
}

void *zaligned_alloc_usable(size_t alignment, size_t size, size_t *usable)
{
    void *ptr = aligned_fast(alignment, size, usable);
    return ZM_LIKELY(ptr != NULL) ? ptr : aligned_slow(alignment, size, usable);
}

void *zaligned_alloc(size_t alignment, size_t size)
{
    void *ptr = aligned_fast(alignment, size, NULL);
    return ZM_LIKELY(ptr != NULL) ? ptr : aligned_slow(alignment, size, NULL);
}
