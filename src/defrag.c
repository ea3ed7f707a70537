/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks that move to undo fragmentation: for which of them that helps, and a defragmenter that moves them. */
#include "call.h"
#include "inspect/sized.h"
#include "limit/claim.h"
#include "os/os.h"
#include "zmalloc.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* In the first version that has it, and now. */
enum {
    FIRST_SIZE = ZM_END_OF(struct zmalloc_defrag, freed_bytes),
    SIZE = ZM_END_OF(struct zmalloc_defrag, freed_bytes)
};

static inline int hint_of(void *ptr, struct zm_defrag_hint *hint)
{
    return zm_heap_defrag_hint(zm_block_of(ptr), hint);
}

static int tell(void *ptr, int *helps, const char *call)
{
    zm_heap_expect(ptr, call);
    struct zm_defrag_hint hint = {0};
    int error = ptr != NULL ? hint_of(ptr, &hint) : zm_allocator_prepare_defrag();
    *helps = hint.helps;
    return error;
}

int zmalloc_defrag_hint(void *ptr, int *helps)
{
    return helps != NULL ? tell(ptr, helps, __func__) : -EINVAL;
}

int zmalloc_defrag_hints(void *const *blocks, size_t count, int *hints)
{
    if (count != 0 && (blocks == NULL || hints == NULL)) {
        return -EINVAL;
    }
    int error = zm_allocator_prepare_defrag();
    for (size_t i = 0; i < count && error == 0; i++) {
        error = tell(blocks[i], &hints[i], __func__);
    }
    if (error != 0 && count != 0) {
        memset(hints, 0, count * sizeof(*hints));
    }
    return error;
}

/* Its prefix, if it has one, is rounded up with it: as the offset is a multiple of the alignment, so is the place. */
static void *allocate_for_move(void *ptr, size_t usable)
{
    if (ZM_KNOWS_SIZE) {
        return zm_heap_allocate_for_move(ptr, usable);
    }
    size_t offset = zm_block_offset(ptr);
    size_t rounded = (usable + offset + offset - 1) / offset * offset;
    return zm_heap_allocate_for_move(zm_block_of(ptr), rounded);
}

/* Asked again when the new place is there: it may be in the same slab, if that was the next to fill. */
static size_t left_empty(void *ptr, const struct zm_defrag_hint *hint)
{
    struct zm_defrag_hint now = {0};
    bool may_be = !ZM_HARDENED && hint->empties != 0;
    return may_be && hint_of(ptr, &now) == 0 ? now.empties : 0;
}

/* What is in use does not grow, so that no limit is in the way. */
static void *move(void *ptr, const struct zm_defrag_hint *hint, struct zmalloc_defrag *done)
{
    size_t usable = zm_block_usable(ptr);
    size_t offset = zm_block_offset(ptr);
    size_t bytes = usable + offset;
    zm_account_expect_block();
    struct zm_claim claim = zm_claim(usable, offset, bytes, zm_block_good_size);
    void *block = claim.granted ? allocate_for_move(ptr, usable) : NULL;
    void *moved = zm_hand_out_aligned(zm_claim_keep(&claim, block, bytes), offset, usable, NULL);
    if (moved != NULL) {
        done->moved++;
        done->moved_bytes += bytes;
        done->freed_bytes += left_empty(ptr, hint);
        memcpy(moved, ptr, usable);
        zfree_no_tcache(ptr);
    }
    return zm_claim_commit(&claim, moved);
}

static int do_next(void **blocks, struct zmalloc_defrag *done)
{
    void **ptr = &blocks[done->position];
    zm_heap_expect(*ptr, "zmalloc_defrag");
    if (*ptr != NULL) {
        struct zm_defrag_hint hint;
        int error = hint_of(*ptr, &hint);
        if (error != 0) {
            return error;
        }
        done->asked++;
        void *moved = hint.helps ? move(*ptr, &hint, done) : *ptr;
        done->refused += moved == NULL;
        *ptr = moved != NULL ? moved : *ptr;
    }
    done->position++;
    return 0;
}

static uint64_t end_of(size_t max_us)
{
    uint64_t now = max_us != 0 ? zm_os_microseconds() : 0;
    return max_us != 0 && max_us < UINT64_MAX - now ? now + max_us : UINT64_MAX;
}

/* To look at the clock takes a fifth of a question, and a move takes several. */
static int do_until(uint64_t end, void **blocks, size_t count, struct zmalloc_defrag *done)
{
    enum { QUESTIONS_A_LOOK = 16 };
    int error = 0;
    bool in_time = true;
    while (done->position < count && error == 0 && in_time) {
        size_t moved = done->moved;
        error = do_next(blocks, done);
        bool looks = done->moved != moved || done->position % QUESTIONS_A_LOOK == 0;
        in_time = end == UINT64_MAX || !looks || zm_os_microseconds() < end;
    }
    return error;
}

int zmalloc_defrag(void **blocks, size_t count, size_t start, size_t max_us, struct zmalloc_defrag *done)
{
    if (done == NULL || done->size < FIRST_SIZE || (blocks == NULL && count != 0)) {
        return -EINVAL;
    }
    struct zmalloc_defrag whole = {.position = start};
    int error = zm_allocator_prepare_defrag();
    if (error == 0) {
        error = do_until(end_of(max_us), blocks, count, &whole);
    }
    zm_sized_copy(done, &whole, SIZE);
    return error;
}
