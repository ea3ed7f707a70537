/* SPDX-License-Identifier: BSD-3-Clause */
/* Aligned blocks: every alignment and many sizes, what is no alignment, and what becomes of the blocks. */
#include "aligned_ways.h"
#include "support.h"

#include <stdlib.h>

enum { LARGEST_ALIGNMENT = 4 << 20 };

static const size_t sizes[] = {0, 1, 7, 8, 16, 17, 48, 100, 1000, 4095, 4096, 5000, 40000, 300000, 3 << 20};

static bool aligned_for(void *ptr, size_t alignment)
{
    return aligned(ptr) && (uintptr_t) ptr % alignment == 0;
}

static void *get(const struct aligned_way *way, size_t alignment, size_t size, size_t *usable)
{
    *usable = SIZE_MAX;
    void *ptr = way->get(alignment, size, usable);
    expect(ptr != NULL && aligned_for(ptr, alignment), way->name, alignment);
    expect(*usable >= size && *usable != SIZE_MAX, way->name, size);
    expect(*usable == zmalloc_usable_size(ptr), way->name, size);
    return ptr;
}

static void check_block(const struct aligned_way *way, size_t alignment, size_t size, const struct release *release)
{
    size_t before = zmalloc_used_memory();
    size_t usable;
    char *ptr = get(way, alignment, size, &usable);
    size_t prefix = PREFIX_SIZE == 0 || alignment <= PREFIX_SIZE ? PREFIX_SIZE : alignment;
    expect(zmalloc_size(ptr) == usable + prefix, way->name, alignment);
    expect(zmalloc_used_memory() == before + zmalloc_size(ptr), way->name, alignment);
    if (usable > 0) {
        ptr[0] = 'a';
        ptr[usable - 1] = 'z';
    }
    release->give(ptr);
    expect(zmalloc_used_memory() == before, release->name, alignment);
}

static void test_every_alignment(void **state)
{
    (void) state;
    size_t round = 0;
    for (size_t w = 0; w < LENGTH(aligned_ways); w++) {
        for (size_t alignment = 1; alignment <= LARGEST_ALIGNMENT; alignment *= 2) {
            for (size_t s = 0; s < LENGTH(sizes); s++) {
                check_block(&aligned_ways[w], alignment, sizes[s], &releases[round++ % LENGTH(releases)]);
            }
        }
    }
    assert_int_equal(oom.calls, 0);
}

static void test_every_way_to_free(void **state)
{
    (void) state;
    for (size_t r = 0; r < LENGTH(releases); r++) {
        for (size_t alignment = 8; alignment <= 16384; alignment *= 2) {
            for (size_t s = 0; s < LENGTH(sizes); s++) {
                check_block(&aligned_ways[0], alignment, sizes[s], &releases[r]);
            }
        }
    }
}

/* Blocks of all alignments that live together, among plain ones, are each their owner's to the last byte. */
static void test_all_usable_bytes_are_the_callers(void **state)
{
    (void) state;
    enum { BLOCKS = 1000 };
    static void *blocks[BLOCKS];
    static size_t usable[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = i % 3 == 0 ? zmalloc_usable(i, &usable[i])
                               : get(&aligned_ways[i % 4], (size_t) 1 << i % 14, i * 11 % 6000, &usable[i]);
        fill(blocks[i], 0, usable[i], (unsigned) i);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        expect(filled(blocks[i], usable[i], (unsigned) i), "alignment", (size_t) 1 << i % 14);
        zfree_with_size(blocks[i], usable[i]);
    }
}

/* Not constants to the compiler, which would warn. */
static volatile const size_t no_alignments[] = {
    0,
    3,
    5,
    6,
    7,
    12,
    15,
    17,
    24,
    48,
    100,
    4095,
    4097,
    SIZE_MAX / 2,
    SIZE_MAX / 2 + 2,
    SIZE_MAX / 2 + 17,
    SIZE_MAX / 4 * 3 + 3,
    SIZE_MAX - 15,
    SIZE_MAX - 1,
    SIZE_MAX,
    /* Powers of two, but of no address that could be had. */
    SIZE_MAX / 2 + 1,
#if SIZE_MAX > UINT32_MAX
    SIZE_MAX / 4 + 1,
    SIZE_MAX / 8 + 1,
#endif
};

static void check_failure(const struct aligned_way *way, size_t alignment, size_t size)
{
    size_t before = zmalloc_used_memory();
    size_t usable = 1;
    expect(way->get(alignment, size, &usable) == NULL, way->name, alignment);
    expect(usable == 0, way->name, alignment);
    expect(oom.calls == (way->calls_handler ? 1 : 0), way->name, alignment);
    expect(!way->calls_handler || oom.size == size, way->name, size);
    expect(zmalloc_used_memory() == before, way->name, alignment);
    oom.calls = 0;
}

static void test_what_is_no_alignment(void **state)
{
    (void) state;
    static const size_t asked[] = {0, 1, 100, 4096, 100000};
    for (size_t w = 0; w < LENGTH(aligned_ways); w++) {
        for (size_t a = 0; a < LENGTH(no_alignments); a++) {
            for (size_t s = 0; s < LENGTH(asked); s++) {
                check_failure(&aligned_ways[w], no_alignments[a], asked[s]);
            }
        }
    }
}

static void test_impossible_sizes(void **state)
{
    (void) state;
    for (size_t w = 0; w < LENGTH(aligned_ways); w++) {
        for (size_t alignment = 1; alignment <= LARGEST_ALIGNMENT; alignment *= 4) {
            for (size_t s = 0; s < LENGTH(impossible_sizes); s++) {
                check_failure(&aligned_ways[w], alignment, impossible_sizes[s]);
            }
        }
    }
}

static void check_resize(const struct resize *resize, size_t alignment, size_t from, size_t to)
{
    size_t before = zmalloc_used_memory();
    size_t old;
    void *ptr = get(&aligned_ways[0], alignment, from, &old);
    check_resize_of(ptr, old, resize, to);
    expect(zmalloc_used_memory() == before, resize->name, to);
}

static void test_resize(void **state)
{
    (void) state;
    static const size_t lengths[] = {1, 16, 100, 4096, 20000, 200000};
    for (size_t r = 0; r < LENGTH(resizes); r++) {
        for (size_t alignment = 1; alignment <= 1 << 17; alignment *= 2) {
            for (size_t from = 0; from < LENGTH(lengths); from++) {
                for (size_t to = 0; to < LENGTH(lengths); to++) {
                    check_resize(&resizes[r], alignment, lengths[from], lengths[to]);
                }
            }
        }
    }
    assert_int_equal(oom.calls, 0);
}

static void test_a_failed_resize_leaves_the_block(void **state)
{
    (void) state;
    for (size_t alignment = 1; alignment <= 1 << 16; alignment *= 4) {
        size_t old;
        void *ptr = get(&aligned_ways[2], alignment, 1000, &old);
        fill(ptr, 0, old, 9);
        size_t used = zmalloc_used_memory();
        for (size_t r = 0; r < LENGTH(resizes); r++) {
            size_t usable = 1;
            oom.calls = 0;
            expect(resizes[r].to(ptr, impossible_sizes[r], &usable) == NULL, resizes[r].name, alignment);
            expect(usable == 0, resizes[r].name, alignment);
            expect(oom.calls == (resizes[r].calls_handler ? 1 : 0), resizes[r].name, alignment);
            expect(zmalloc_used_memory() == used && filled(ptr, old, 9), resizes[r].name, alignment);
        }
        expect(aligned_for(ptr, alignment), "failed resize", alignment);
        zfree(ptr);
    }
}

static const struct CMUnitTest tests[] = {
    balanced(test_every_alignment),
    balanced(test_every_way_to_free),
    balanced(test_all_usable_bytes_are_the_callers),
    balanced(test_what_is_no_alignment),
    balanced(test_impossible_sizes),
    balanced(test_resize),
    balanced(test_a_failed_resize_leaves_the_block),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
