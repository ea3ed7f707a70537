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

ZM_SLOW_PATH void *ztryaligned_alloc_usable(size_t alignment, size_t size, size_t *usable)
{
    if (!is_power_of_two(alignment)) {
        zm_set_if(usable, 0);
        return NULL;
    }
    zm_account_expect_block();
    size_t at = alignment < ZM_ALIGNMENT ? ZM_ALIGNMENT : alignment;
    size_t offset = ZM_KNOWS_SIZE ? 0 : at > ZM_PREFIX ? at : ZM_PREFIX;
    bool fits = at <= ZM_LARGEST && size <= ZM_LARGEST - at;
    struct zm_claim claim = zm_claim_new(fits ? size : SIZE_MAX, offset);
    void *block = claim.granted ? zm_heap_allocate_aligned(at, zm_block_size(size) - ZM_PREFIX + offset) : NULL;
    return zm_claim_commit(&claim, zm_hand_out_aligned(zm_claim_keep(&claim, block, 0), offset, size, usable));
}

void *ztryaligned_alloc(size_t alignment, size_t size)
{
    return ztryaligned_alloc_usable(alignment, size, NULL);
}

void *zaligned_alloc_usable(size_t alignment, size_t size, size_t *usable)
{
    unsigned tries = 0;
    void *ptr;
    do {
        ptr = ztryaligned_alloc_usable(alignment, size, usable);
    } while (ptr == NULL && zm_oom_try_again(size, &tries));
    return ptr;
}

void *zaligned_alloc(size_t alignment, size_t size)
{
    return zaligned_alloc_usable(alignment, size, NULL);
}
