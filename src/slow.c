/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The slow paths of the calls that allocate: without a limit, and within one. What leads on to another function needs
 * no stack, so these functions are many and short.
 */
#include "slow.h"

#include "call.h"
#include "limit/claim.h"
#include "oom.h"

/* Whether a table has what a request gets: requests that are too small to be aligned come here too. */
static inline bool is_in_table(size_t size)
{
    return ZM_KNOWS_SIZE && ZM_HEAP_GRANTS_ROUNDING != 0 && size <= ZM_HEAP_GRANTS_UP_TO && zm_heap_grants();
}

/* By one of the allocator's calls, while no limit is set. */
static inline void *allocate_unlimited(void *(*allocate)(size_t), size_t size, size_t *usable)
{
    zm_account_expect_block();
    void *block = ZM_LIKELY(size <= ZM_LARGEST) ? allocate(zm_block_size(size)) : NULL;
    if (!is_in_table(size) || block == NULL) {
        return zm_hand_out(block, size, usable);
    }
    size_t bytes = zm_heap_granted_size(block, zm_block_size(size));
    zm_account_allocated(bytes);
    zm_set_if(usable, bytes);
    return block;
}

/* While one is set: asks for the bytes. */
static ZM_SLOW_PATH void *allocate_limited(void *(*allocate)(size_t), size_t size, size_t *usable)
{
    zm_account_expect_block();
    struct zm_claim claim = zm_claim_new(size, ZM_PREFIX);
    void *block = claim.granted ? allocate(zm_block_size(size)) : NULL;
    return zm_claim_commit(&claim, zm_hand_out(zm_claim_keep(&claim, block, 0), size, usable));
}

static inline void *allocate_by(void *(*allocate)(size_t), size_t size, size_t *usable)
{
    return zm_limit_is_set() ? allocate_limited(allocate, size, usable) : allocate_unlimited(allocate, size, usable);
}

/* For those calls that go to the handler. */
static ZM_SLOW_PATH void *retry(void *(*allocate)(size_t), size_t size, size_t *usable)
{
    unsigned tries = 0;
    void *ptr = NULL;
    while (ptr == NULL && zm_oom_try_again(size, &tries)) {
        ptr = allocate_by(allocate, size, usable);
    }
    return ptr;
}

static ZM_SLOW_PATH void *allocate_or_oom(void *(*allocate)(size_t), size_t size, size_t *usable)
{
    void *ptr = allocate_by(allocate, size, usable);
    return ZM_LIKELY(ptr != NULL) ? ptr : retry(allocate, size, usable);
}

static ZM_SLOW_PATH void *try_malloc_unlimited(size_t size, size_t *usable)
{
    return allocate_unlimited(zm_heap_allocate, size, usable);
}

static ZM_SLOW_PATH void *malloc_unlimited(size_t size, size_t *usable)
{
    void *ptr = allocate_unlimited(zm_heap_allocate, size, usable);
    return ZM_LIKELY(ptr != NULL) ? ptr : retry(zm_heap_allocate, size, usable);
}

static ZM_SLOW_PATH void *try_calloc_unlimited(size_t size, size_t *usable)
{
    return allocate_unlimited(zm_heap_allocate_zeroed, size, usable);
}

static ZM_SLOW_PATH void *calloc_unlimited(size_t size, size_t *usable)
{
    void *ptr = allocate_unlimited(zm_heap_allocate_zeroed, size, usable);
    return ZM_LIKELY(ptr != NULL) ? ptr : retry(zm_heap_allocate_zeroed, size, usable);
}

ZM_SLOW_PATH void *zm_try_malloc_anew(size_t size, size_t *usable)
{
    return zm_limit_is_set() ? allocate_limited(zm_heap_allocate, size, usable) : try_malloc_unlimited(size, usable);
}

ZM_SLOW_PATH void *zm_malloc_anew(size_t size, size_t *usable)
{
    return zm_limit_is_set() ? allocate_or_oom(zm_heap_allocate, size, usable) : malloc_unlimited(size, usable);
}

ZM_SLOW_PATH void *zm_try_calloc_anew(size_t size, size_t *usable)
{
    return zm_limit_is_set() ? allocate_limited(zm_heap_allocate_zeroed, size, usable)
                             : try_calloc_unlimited(size, usable);
}

ZM_SLOW_PATH void *zm_calloc_anew(size_t size, size_t *usable)
{
    return zm_limit_is_set() ? allocate_or_oom(zm_heap_allocate_zeroed, size, usable)
                             : calloc_unlimited(size, usable);
}

void *zm_malloc_uncached(size_t size)
{
    return allocate_or_oom(zm_heap_allocate_uncached, size, NULL);
}

/*
 * Within a limit, the thread's credit is most often enough, and without one there is none. Where there is a fast
 * path, what is small comes here only within a limit, or is too small: so the credit is looked at first.
 */
enum { CREDIT_COMES_FIRST = ZM_KNOWS_SIZE };

void *zm_try_malloc_slow(size_t size)
{
    struct zm_thread *self = zm_thread_self();
    if (!CREDIT_COMES_FIRST && !zm_limit_is_set()) {
        return try_malloc_unlimited(size, NULL);
    }
    if (!zm_claim_small(self, size)) {
        return CREDIT_COMES_FIRST && !zm_limit_is_set() ? try_malloc_unlimited(size, NULL)
                                                        : allocate_limited(zm_heap_allocate, size, NULL);
    }
    size_t kept = zm_keep(size);
    void *ptr = zm_claim_hand_out_small(self, zm_heap_allocate(size + ZM_PREFIX), kept);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_try_malloc_anew(kept, NULL);
}

void *zm_malloc_slow(size_t size)
{
    struct zm_thread *self = zm_thread_self();
    if (!CREDIT_COMES_FIRST && !zm_limit_is_set()) {
        return malloc_unlimited(size, NULL);
    }
    if (!zm_claim_small(self, size)) {
        return CREDIT_COMES_FIRST && !zm_limit_is_set() ? malloc_unlimited(size, NULL)
                                                        : allocate_or_oom(zm_heap_allocate, size, NULL);
    }
    size_t kept = zm_keep(size);
    void *ptr = zm_claim_hand_out_small(self, zm_heap_allocate(size + ZM_PREFIX), kept);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_malloc_anew(kept, NULL);
}

void *zm_try_calloc_slow(size_t size)
{
    struct zm_thread *self = zm_thread_self();
    if (!CREDIT_COMES_FIRST && !zm_limit_is_set()) {
        return try_calloc_unlimited(size, NULL);
    }
    if (!zm_claim_small(self, size)) {
        return CREDIT_COMES_FIRST && !zm_limit_is_set() ? try_calloc_unlimited(size, NULL)
                                                        : allocate_limited(zm_heap_allocate_zeroed, size, NULL);
    }
    size_t kept = zm_keep(size);
    void *ptr = zm_claim_hand_out_small(self, zm_heap_allocate_zeroed(size + ZM_PREFIX), kept);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_try_calloc_anew(kept, NULL);
}

void *zm_calloc_slow(size_t size)
{
    struct zm_thread *self = zm_thread_self();
    if (!CREDIT_COMES_FIRST && !zm_limit_is_set()) {
        return calloc_unlimited(size, NULL);
    }
    if (!zm_claim_small(self, size)) {
        return CREDIT_COMES_FIRST && !zm_limit_is_set() ? calloc_unlimited(size, NULL)
                                                        : allocate_or_oom(zm_heap_allocate_zeroed, size, NULL);
    }
    size_t kept = zm_keep(size);
    void *ptr = zm_claim_hand_out_small(self, zm_heap_allocate_zeroed(size + ZM_PREFIX), kept);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_calloc_anew(kept, NULL);
}
