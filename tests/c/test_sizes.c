/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes told by the caller, who knows them, and to the caller, who asks before there is a block. */
#include "support.h"

enum { EACH_SIZE_UP_TO = 64 << 10 };

static const size_t large_sizes[] = {
    (64 << 10) + 1, 100000,  131072,        131073,  200000,  262145,
    500000,         1 << 20, (1 << 20) + 1, 3000000, 5 << 20, 17 << 20,
};

static void check_free_with(size_t told, const char *name, void *ptr, size_t size)
{
    size_t before = zmalloc_used_memory() - zmalloc_size(ptr);
    fill(ptr, 0, size < 64 ? size : 64, 1);
    zfree_with_size(ptr, told);
    expect(zmalloc_used_memory() == before, name, size);
}

/* What was asked for, what is usable, and what lies between. */
static void free_with_each_size(const struct way *way, size_t size)
{
    size_t usable;
    void *ptr = way->get(size, &usable);
    size_t asked = way->aligned ? usable : size;
    const size_t legal[] = {asked, usable, asked + (usable - asked) / 2, asked + (usable - asked + 2) / 3};
    for (size_t i = 0; i < LENGTH(legal); i++) {
        check_free_with(legal[i], way->name, ptr, size);
        ptr = way->get(size, &usable);
    }
    zfree(ptr);
}

static void test_free_with_each_legal_size(void **state)
{
    (void) state;
    for (size_t w = 0; w < LENGTH(ways); w++) {
        for (size_t size = 0; size < 20000; size += size / 40 + 1) {
            free_with_each_size(&ways[w], size);
        }
        for (size_t s = 0; s < LENGTH(large_sizes); s++) {
            free_with_each_size(&ways[w], large_sizes[s]);
        }
    }
    assert_int_equal(oom.calls, 0);
}

/* The size asked for is then that of the last resize. */
static void test_free_with_the_size_of_the_last_resize(void **state)
{
    (void) state;
    static const size_t sizes[] = {1, 20, 100, 1500, 5000, 30000, 100000, 3000000};
    for (size_t r = 0; r < LENGTH(resizes); r++) {
        for (size_t from = 0; from < LENGTH(sizes); from++) {
            for (size_t to = 0; to < LENGTH(sizes); to++) {
                size_t usable;
                void *ptr = resizes[r].to(zmalloc(sizes[from]), sizes[to], &usable);
                check_free_with(sizes[to], resizes[r].name, ptr, sizes[to]);
                ptr = resizes[r].to(zmalloc(sizes[from]), sizes[to], &usable);
                check_free_with(usable, resizes[r].name, ptr, sizes[to]);
            }
        }
    }
}

/* A cache that was given a block of the wrong class would hand out blocks that overlap. */
static void test_blocks_freed_with_their_size_are_whole_when_they_come_back(void **state)
{
    (void) state;
    enum { BLOCKS = 500, ROUNDS = 20 };
    static void *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            sizes[i] = i * (round * 8 + 1) % 5000;
            blocks[i] = ways[i % LENGTH(ways)].aligned ? zmalloc(sizes[i])
                                                       : ways[i % LENGTH(ways)].get(sizes[i], &(size_t){0});
            fill(blocks[i], 0, sizes[i], (unsigned) i);
        }
        for (size_t i = 0; i < BLOCKS; i++) {
            expect(filled(blocks[i], sizes[i], (unsigned) i), "round", round);
            zfree_with_size(blocks[i], sizes[i]);
        }
    }
}

/* A prefix holds what was asked for; libc's malloc can't be asked, and mimalloc tells too little of large blocks. */
static bool told_exactly(size_t size)
{
    return PREFIX_SIZE != 0 || (!allocator_is("libc") && (size <= EACH_SIZE_UP_TO || !allocator_is("mimalloc")));
}

static void check_good_size(const struct way *way, size_t size)
{
    size_t usable;
    void *ptr = way->get(size, &usable);
    size_t good = zmalloc_good_size(size);
    expect(good >= size && good <= usable, way->name, size);
    expect(!told_exactly(size) || good == usable, way->name, size);
    zfree(ptr);
}

static void test_good_size(void **state)
{
    (void) state;
    static const struct way plain = {"zmalloc_usable", zmalloc_usable, false, true, false};
    for (size_t size = 0; size <= EACH_SIZE_UP_TO; size++) {
        check_good_size(&plain, size);
    }
    for (size_t w = 0; w < LENGTH(ways); w++) {
        if (ways[w].aligned) {
            continue;
        }
        for (size_t size = 0; size <= EACH_SIZE_UP_TO; size += size / 50 + 1) {
            check_good_size(&ways[w], size);
        }
        for (size_t s = 0; s < LENGTH(large_sizes); s++) {
            check_good_size(&ways[w], large_sizes[s]);
        }
    }
}

static void test_good_size_of_a_good_size_is_itself(void **state)
{
    (void) state;
    for (size_t size = 0; size <= EACH_SIZE_UP_TO; size++) {
        size_t good = zmalloc_good_size(size);
        expect(zmalloc_good_size(good) == good, "zmalloc_good_size", size);
        expect(size == 0 || zmalloc_good_size(size - 1) <= good, "zmalloc_good_size", size);
    }
}

static void test_good_size_of_what_is_too_large(void **state)
{
    (void) state;
    static volatile const size_t too_large[] = {
        (size_t) PTRDIFF_MAX + 1, (size_t) PTRDIFF_MAX + 2, SIZE_MAX / 4 * 3, SIZE_MAX - 16, SIZE_MAX - 1, SIZE_MAX,
    };
    for (size_t i = 0; i < LENGTH(too_large); i++) {
        expect(zmalloc_good_size(too_large[i]) == 0, "zmalloc_good_size", too_large[i]);
    }
    /* No machine has so much, but that is not the question: 0, or room for it. */
    for (size_t i = 0; i < LENGTH(impossible_sizes); i++) {
        size_t good = zmalloc_good_size(impossible_sizes[i]);
        expect(good == 0 || good >= impossible_sizes[i], "zmalloc_good_size", impossible_sizes[i]);
    }
}

static const struct CMUnitTest tests[] = {
    balanced(test_free_with_each_legal_size),
    balanced(test_free_with_the_size_of_the_last_resize),
    balanced(test_blocks_freed_with_their_size_are_whole_when_they_come_back),
    balanced(test_good_size),
    balanced(test_good_size_of_a_good_size_is_itself),
    balanced(test_good_size_of_what_is_too_large),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
