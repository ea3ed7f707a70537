/* SPDX-License-Identifier: BSD-3-Clause */
/* The z* calls: edge cases and failure policy around the allocator and the account. */
#include "zmalloc.h"

#include "call.h"
#include "limit/claim.h"
#include "oom.h"
#include "slow.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline void *malloc_fast(size_t size, size_t *usable)
{
    struct zm_thread *self = zm_early_self();
    return zm_new_may_be_fast(self, size) ? zm_count_fast(self, zm_heap_allocate(size), size, usable) : NULL;
}

static inline void *calloc_fast(size_t size, size_t *usable)
{
    struct zm_thread *self = zm_early_self();
    return zm_new_may_be_fast(self, size) ? zm_count_fast(self, zm_heap_allocate_zeroed(size), size, usable) : NULL;
}

/* An allocator that counts grants the same as for a new block. Others may keep what is too large, or give more. Sizes
 * that no block can have are not for the allocator: checkers of memory report its realloc with them. */
static inline void *realloc_fast(void *ptr, size_t size, size_t *usable)
{
    struct zm_thread *self = zm_thread_self();
    if (!zm_may_be_fast(self, size) || ptr == NULL || (!ZM_COUNTED_BY_ALLOCATOR && size > PTRDIFF_MAX)) {
        return NULL;
    }
    if (ZM_COUNTED_BY_ALLOCATOR) {
        return zm_count_fast(self, zm_heap_reallocate(ptr, size), size, usable);
    }
    size_t old = zm_heap_live_usable_size(ptr);
    void *moved = zm_heap_reallocate(ptr, size);
    if (ZM_LIKELY(moved != NULL)) {
        size_t bytes = zm_heap_live_usable_size(moved);
        zm_account_allocated_when_live(self, bytes);
        zm_account_freed_when_live(self, old);
        zm_set_if(usable, bytes);
    }
    return moved;
}

static inline bool free_fast(void *ptr)
{
    size_t bytes;
    if (!zm_count_freed_fast(ptr, &bytes)) {
        return false;
    }
    zm_release_fast(ptr, bytes);
    return true;
}

void *ztrymalloc_usable(size_t size, size_t *usable)
{
    void *ptr = malloc_fast(size, usable);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_try_malloc_anew(size, usable);
}

void *zmalloc_usable(size_t size, size_t *usable)
{
    void *ptr = malloc_fast(size, usable);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_malloc_anew(size, usable);
}

/* With an allocator that counts and goes on, the fast path is its call, and these are next where it has no block at
 * hand. */
enum { ALLOCATOR_IS_LAST = ZM_COUNTED_BY_ALLOCATOR && ZM_HEAP_GOES_ON };

static void *try_malloc_next(size_t size)
{
    void *ptr = zm_heap_allocate_slow(size);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_try_malloc_anew(size, NULL);
}

void *ztrymalloc(size_t size)
{
    struct zm_thread *self = zm_early_self();
    if (!zm_new_may_be_fast(self, size)) {
        return zm_try_malloc_slow(size);
    }
    if (ALLOCATOR_IS_LAST) {
        return zm_heap_allocate_or(size, try_malloc_next);
    }
    size_t kept = zm_keep(size);
    void *ptr = zm_count_fast(self, zm_heap_allocate(size), kept, NULL);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_try_malloc_anew(kept, NULL);
}

static void *malloc_next(size_t size)
{
    void *ptr = zm_heap_allocate_slow(size);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_malloc_anew(size, NULL);
}

void *zmalloc(size_t size)
{
    struct zm_thread *self = zm_early_self();
    if (!zm_new_may_be_fast(self, size)) {
        return zm_malloc_slow(size);
    }
    if (ALLOCATOR_IS_LAST) {
        return zm_heap_allocate_or(size, malloc_next);
    }
    size_t kept = zm_keep(size);
    void *ptr = zm_count_fast(self, zm_heap_allocate(size), kept, NULL);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_malloc_anew(kept, NULL);
}

void *zmalloc_no_tcache(size_t size)
{
    return zm_malloc_uncached(size);
}

void *ztrycalloc_usable(size_t size, size_t *usable)
{
    void *ptr = calloc_fast(size, usable);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_try_calloc_anew(size, usable);
}

void *zcalloc_usable(size_t size, size_t *usable)
{
    void *ptr = calloc_fast(size, usable);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_calloc_anew(size, usable);
}

void *ztrycalloc(size_t size)
{
    struct zm_thread *self = zm_early_self();
    if (!zm_new_may_be_fast(self, size)) {
        return zm_try_calloc_slow(size);
    }
    size_t kept = zm_keep(size);
    void *ptr = zm_count_fast(self, zm_heap_allocate_zeroed(size), kept, NULL);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_try_calloc_anew(kept, NULL);
}

void *zcalloc(size_t size)
{
    struct zm_thread *self = zm_early_self();
    if (!zm_new_may_be_fast(self, size)) {
        return zm_calloc_slow(size);
    }
    size_t kept = zm_keep(size);
    void *ptr = zm_count_fast(self, zm_heap_allocate_zeroed(size), kept, NULL);
    return ZM_LIKELY(ptr != NULL) ? ptr : zm_calloc_anew(kept, NULL);
}

void *zcalloc_num(size_t num, size_t size)
{
    size_t bytes;
    return zcalloc(__builtin_mul_overflow(num, size, &bytes) ? SIZE_MAX : bytes);
}

/* Without the allocator's reallocation, for which there may be no room, or no prefix where it would be looked for. */
static void *move(void *ptr, size_t size, size_t *usable)
{
    size_t usable_before = zm_block_usable(ptr);
    size_t old = usable_before + zm_block_offset(ptr);
    struct zm_claim claim = zm_claim(size, ZM_PREFIX, old, zm_block_good_size);
    void *block = claim.granted ? zm_heap_allocate(zm_block_size(size)) : NULL;
    void *moved = zm_hand_out(zm_claim_keep(&claim, block, old), size, usable);
    if (moved != NULL) {
        memcpy(moved, ptr, usable_before < size ? usable_before : size);
        zfree(ptr);
    }
    return zm_claim_commit(&claim, moved);
}

/* What the allocator frees of a thread that is not live, it has not counted, even if that thread is live by now. */
static void count_freed_by_reallocation(size_t bytes, bool was_live)
{
    if (ZM_COUNTED_BY_ALLOCATOR && !was_live && zm_account_is_live()) {
        zm_account_freed_before_live(bytes);
    } else {
        zm_account_freed(bytes);
    }
}

/* The new block is counted first: the bytes of a claim are never out of sight. */
static void *reallocate(void *ptr, size_t size, size_t *usable)
{
    size_t old = zm_block_usable(ptr) + ZM_PREFIX;
    struct zm_claim claim = zm_claim(size, ZM_PREFIX, old, zm_claim_largest_size);
    if (!claim.granted) {
        return move(ptr, size, usable);
    }
    bool was_live = zm_account_is_live();
    void *block = zm_heap_reallocate(zm_block_of(ptr), zm_block_size(size));
    void *moved = zm_hand_out(block, size, usable);
    if (moved != NULL) {
        count_freed_by_reallocation(old, was_live);
    }
    return zm_claim_commit(&claim, moved);
}

/* A block that is to have nothing goes. */
static inline bool free_instead(void *ptr, size_t size, size_t *usable)
{
    if (ptr == NULL || size != 0) {
        return false;
    }
    zfree(ptr);
    zm_set_if(usable, 0);
    return true;
}

static inline void *reallocate_once(void *ptr, size_t size, size_t *usable)
{
    if (ptr == NULL) {
        return zm_try_malloc_anew(size, usable);
    }
    zm_account_expect_block();
    return zm_block_offset(ptr) == ZM_PREFIX ? reallocate(ptr, size, usable) : move(ptr, size, usable);
}

static ZM_SLOW_PATH void *try_realloc_slow(void *ptr, size_t size, size_t *usable)
{
    return free_instead(ptr, size, usable) ? NULL : reallocate_once(ptr, size, usable);
}

static ZM_SLOW_PATH void *realloc_slow(void *ptr, size_t size, size_t *usable)
{
    if (free_instead(ptr, size, usable)) {
        return NULL;
    }
    unsigned tries = 0;
    void *moved;
    do {
        zm_heap_expect(ptr, "zrealloc"); /* again, after the handler */
        moved = reallocate_once(ptr, size, usable);
    } while (moved == NULL && zm_oom_try_again(size, &tries));
    return moved;
}

void *ztryrealloc_usable(void *ptr, size_t size, size_t *usable)
{
    zm_heap_expect(ptr, __func__);
    void *moved = realloc_fast(ptr, size, usable);
    return moved != NULL ? moved : try_realloc_slow(ptr, size, usable);
}

void *zrealloc_usable(void *ptr, size_t size, size_t *usable)
{
    zm_heap_expect(ptr, __func__);
    void *moved = realloc_fast(ptr, size, usable);
    return moved != NULL ? moved : realloc_slow(ptr, size, usable);
}

void *ztryrealloc(void *ptr, size_t size)
{
    zm_heap_expect(ptr, __func__);
    void *moved = realloc_fast(ptr, size, NULL);
    return moved != NULL ? moved : try_realloc_slow(ptr, size, NULL);
}

void *zrealloc(void *ptr, size_t size)
{
    zm_heap_expect(ptr, __func__);
    void *moved = realloc_fast(ptr, size, NULL);
    return moved != NULL ? moved : realloc_slow(ptr, size, NULL);
}

char *zstrdup(const char *string)
{
    if (string == NULL) {
        return NULL;
    }
    size_t size = strlen(string) + 1;
    char *copy = zmalloc(size);
    return copy != NULL ? memcpy(copy, string, size) : NULL;
}

/* Whether the allocator is about to count what this thread counts apart. */
static inline bool counts_apart(void)
{
    return ZM_COUNTED_BY_ALLOCATOR && !zm_account_is_live() && zm_account_begin_to_free();
}

/* Counts the caller's block as freed, and leaves it to be freed. */
static size_t hand_in(void *ptr)
{
    size_t bytes = zm_block_usable(ptr);
    zm_account_freed(bytes + zm_block_offset(ptr));
    return bytes;
}

ZM_SLOW_PATH void zfree_usable(void *ptr, size_t *usable)
{
    zm_heap_expect(ptr, __func__);
    if (ptr == NULL) {
        zm_set_if(usable, 0);
        return;
    }
    bool apart = counts_apart();
    size_t bytes = hand_in(ptr);
    zm_set_if(usable, bytes);
    if (ZM_KNOWS_SIZE) {
        zm_heap_free_sized(ptr, bytes);
    } else {
        zm_heap_free(zm_block_of(ptr));
    }
    if (apart) {
        zm_account_end_to_free();
    }
}

void zfree(void *ptr)
{
    zm_heap_expect(ptr, __func__);
    if (!free_fast(ptr)) {
        zfree_usable(ptr, NULL);
    }
}

void zfree_with_size(void *ptr, size_t size)
{
    zm_heap_expect_size(ptr, zm_block_size(size), __func__);
    if (ZM_COUNTED_BY_ALLOCATOR && ptr != NULL && zm_account_is_live()) {
        zm_heap_free_sized(ptr, zm_block_size(size));
    } else {
        zfree(ptr);
    }
}

void zfree_no_tcache(void *ptr)
{
    zm_heap_expect(ptr, __func__);
    if (ptr != NULL) {
        bool apart = counts_apart();
        hand_in(ptr);
        zm_heap_free_uncached(zm_block_of(ptr));
        if (apart) {
            zm_account_end_to_free();
        }
    }
}

void zlibc_free(void *ptr)
{
    zm_heap_expect_foreign(ptr, __func__);
    free(ptr);
}

size_t zmalloc_usable_size(void *ptr)
{
    zm_heap_expect(ptr, __func__);
    return ptr != NULL ? zm_block_usable(ptr) : 0;
}

size_t zmalloc_size(void *ptr)
{
    zm_heap_expect(ptr, __func__);
    return ptr != NULL ? zm_block_usable(ptr) + zm_block_offset(ptr) : 0;
}

size_t zmalloc_good_size(size_t size)
{
    if (size > ZM_LARGEST) {
        return 0;
    }
    size_t good = zm_block_good_size(size);
    return good <= ZM_LARGEST ? good : 0;
}

__attribute__((noinline, alloc_size(2))) void *extend_to_usable(void *ptr, size_t size)
{
    zm_heap_expect_room(ptr, size, __func__);
    return ptr;
}
