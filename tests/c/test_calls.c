/* SPDX-License-Identifier: BSD-3-Clause */
/* What every call that makes, resizes or frees a block promises, for sizes from 0 to the largest. */
#include "sanitizers.h"
#include "support.h"

enum { EACH_SIZE_UP_TO = SANITIZED ? 1100 : 4200, LARGEST_POWER = 22 };

/* Calls check for each small size, and for the powers of two and their neighbours. */
static void for_each_size(void (*check)(const struct way *way, size_t size))
{
    for (size_t w = 0; w < LENGTH(ways); w++) {
        for (size_t size = 0; size <= EACH_SIZE_UP_TO; size++) {
            check(&ways[w], size);
        }
        for (size_t power = (size_t) 1 << 13; power <= (size_t) 1 << LARGEST_POWER; power *= 2) {
            check(&ways[w], power - 1);
            check(&ways[w], power);
            check(&ways[w], power + 1);
        }
    }
}

static void check_block(const struct way *way, size_t size)
{
    size_t before = zmalloc_used_memory();
    size_t usable = SIZE_MAX;
    void *ptr = way->get(size, &usable);

    expect(ptr != NULL, way->name, size);
    expect(aligned(ptr), way->name, size);
    expect(usable >= size && usable != SIZE_MAX, way->name, size);
    expect(usable == zmalloc_usable_size(ptr), way->name, size);
    expect(usable + PREFIX_SIZE == zmalloc_size(ptr), way->name, size);
    expect(zmalloc_used_memory() == before + zmalloc_size(ptr), way->name, size);
    if (usable > 0) {
        ((char *) ptr)[0] = 'a';
        ((char *) ptr)[usable - 1] = 'z';
    }

    size_t freed = SIZE_MAX;
    zfree_usable(ptr, &freed);
    expect(freed == usable, way->name, size);
    expect(zmalloc_used_memory() == before, way->name, size);
}

static void test_every_size(void **state)
{
    (void) state;
    for_each_size(check_block);
    assert_int_equal(oom.calls, 0);
}

/* Dirty memory first, so that zeroes are no accident. */
static void check_zeroed(const struct way *way, size_t size)
{
    if (!way->zeroed || size > (size_t) 1 << 20) {
        return;
    }
    void *dirty[4];
    for (size_t i = 0; i < LENGTH(dirty); i++) {
        dirty[i] = zmalloc(size);
        fill(dirty[i], 0, size, (unsigned) i);
    }
    for (size_t i = 0; i < LENGTH(dirty); i++) {
        zfree(dirty[i]);
    }
    size_t usable;
    void *ptr = way->get(size, &usable);
    expect(all_zero(ptr, size), way->name, size);
    zfree(ptr);
}

static void test_zeroed(void **state)
{
    (void) state;
    for_each_size(check_zeroed);
}

/* Blocks that live together, each filled to its last usable byte, keep what was written into them. */
static void test_all_usable_bytes_are_the_callers(void **state)
{
    (void) state;
    enum { EACH_WAY = 300 };
    static void *blocks[LENGTH(ways) * EACH_WAY];
    static size_t usable[LENGTH(blocks)];

    for (size_t i = 0; i < LENGTH(blocks); i++) {
        const struct way *way = &ways[i % LENGTH(ways)];
        size_t size = i < LENGTH(blocks) / 2 ? i / LENGTH(ways) : i * 7 % 20000;
        blocks[i] = way->get(size, &usable[i]);
        fill(blocks[i], 0, usable[i], (unsigned) i);
    }
    for (size_t i = 0; i < LENGTH(blocks); i++) {
        expect(filled(blocks[i], usable[i], (unsigned) i), ways[i % LENGTH(ways)].name, usable[i]);
        zfree(blocks[i]);
    }
}

static void test_size_0_gives_unique_pointers(void **state)
{
    (void) state;
    void *blocks[LENGTH(ways) * 4];

    for (size_t i = 0; i < LENGTH(blocks); i++) {
        size_t usable;
        blocks[i] = ways[i % LENGTH(ways)].get(0, &usable);
        assert_non_null(blocks[i]);
        for (size_t other = 0; other < i; other++) {
            assert_ptr_not_equal(blocks[i], blocks[other]);
        }
    }
    for (size_t i = 0; i < LENGTH(blocks); i++) {
        zfree(blocks[i]);
    }
}

static void test_every_way_to_free(void **state)
{
    (void) state;
    static const size_t sizes[] = {0, 1, 8, 24, 100, 5000, 70000, 5000000};

    for (size_t w = 0; w < LENGTH(ways); w++) {
        for (size_t r = 0; r < LENGTH(releases); r++) {
            for (size_t s = 0; s < LENGTH(sizes); s++) {
                size_t before = zmalloc_used_memory();
                size_t usable;
                void *ptr = ways[w].get(sizes[s], &usable);
                fill(ptr, 0, usable < 64 ? usable : 64, 1);
                releases[r].give(ptr);
                expect(zmalloc_used_memory() == before, releases[r].name, sizes[s]);
            }
        }
    }
    assert_int_equal(oom.calls, 0);
}

static void test_nothing_comes_of_null(void **state)
{
    (void) state;
    size_t usable = 1;
    zfree_usable(NULL, &usable);
    assert_int_equal(usable, 0);
    zfree_usable(NULL, NULL);
    zfree(NULL);
    zfree_no_tcache(NULL);
    zfree_with_size(NULL, 0);
    zfree_with_size(NULL, 100);
    zlibc_free(NULL);
    zmadvise_dontneed(NULL);
    assert_int_equal(zmalloc_size(NULL), 0);
    assert_int_equal(zmalloc_usable_size(NULL), 0);
    assert_null(zstrdup(NULL));
    assert_null(extend_to_usable(NULL, 0));
    assert_int_equal(zmalloc_used_memory(), used_at_start);
    assert_int_equal(oom.calls, 0);
}

static void test_usable_need_not_be_asked_for(void **state)
{
    (void) state;
    void *blocks[] = {
        zmalloc_usable(10, NULL),
        ztrymalloc_usable(10, NULL),
        zcalloc_usable(10, NULL),
        ztrycalloc_usable(10, NULL),
        zrealloc_usable(NULL, 10, NULL),
        ztryrealloc_usable(NULL, 10, NULL),
        zaligned_alloc_usable(64, 10, NULL),
        ztryaligned_alloc_usable(64, 10, NULL),
    };
    for (size_t i = 0; i < LENGTH(blocks); i++) {
        assert_non_null(blocks[i]);
        blocks[i] = zrealloc_usable(blocks[i], 1000, NULL);
        assert_non_null(blocks[i]);
        assert_null(ztryrealloc_usable(blocks[i], 0, NULL));
    }
}

static void check_resize(const struct resize *resize, size_t from, size_t to)
{
    size_t before = zmalloc_used_memory();
    size_t old;
    void *ptr = zmalloc_usable(from, &old);
    check_resize_of(ptr, old, resize, to);
    expect(zmalloc_used_memory() == before, resize->name, to);
}

static void test_resize(void **state)
{
    (void) state;
    static const size_t sizes[] = {
        0,   1,   7,   8,   9,    15,   16,   17,   24,   25,    31,    32,    33,    48,     63,     64,     65,
        100, 127, 128, 129, 1000, 2048, 4095, 4096, 4097, 10000, 16384, 40000, 65536, 131071, 131072, 131073, 1048577,
    };
    for (size_t r = 0; r < LENGTH(resizes); r++) {
        for (size_t from = 0; from < LENGTH(sizes); from++) {
            for (size_t to = 1; to < LENGTH(sizes); to++) {
                check_resize(&resizes[r], sizes[from], sizes[to]);
            }
        }
    }
    assert_int_equal(oom.calls, 0);
}

/* A block that grows and shrinks many times over, as a string builder's does. */
static void test_resize_in_small_steps(void **state)
{
    (void) state;
    for (size_t r = 0; r < LENGTH(resizes); r++) {
        size_t usable;
        void *ptr = NULL;
        size_t written = 0;
        for (size_t size = 1; size < 100000; size += size / 8 + 1) {
            ptr = resizes[r].to(ptr, size, &usable);
            expect(filled(ptr, written, 3), resizes[r].name, size);
            fill(ptr, written, usable, 3);
            written = usable;
        }
        for (size_t size = written; size > 0; size -= size / 8 + 1) {
            ptr = resizes[r].to(ptr, size, &usable);
            expect(filled(ptr, size, 3), resizes[r].name, size);
            expect(zmalloc_used_memory() == used_at_start + zmalloc_size(ptr), resizes[r].name, size);
        }
        zfree(ptr);
    }
}

static void test_calloc_num(void **state)
{
    (void) state;
    static const struct {
        size_t num;
        size_t size;
    } cases[] = {{0, 0}, {0, 8}, {8, 0}, {SIZE_MAX, 0}, {0, SIZE_MAX}, {1, 1}, {3, 7}, {1000, 24}, {24, 1000}};

    for (size_t i = 0; i < LENGTH(cases); i++) {
        size_t product = cases[i].num * cases[i].size;
        void *ptr = zcalloc_num(cases[i].num, cases[i].size);
        assert_non_null(ptr);
        assert_true(zmalloc_usable_size(ptr) >= product);
        assert_true(all_zero(ptr, product));
        zfree(ptr);
    }
    assert_int_equal(oom.calls, 0);
}

static void test_strdup(void **state)
{
    (void) state;
    for (size_t length = 0; length < 3000; length += length / 9 + 1) {
        char text[3000];
        memset(text, 'x', length);
        text[length] = '\0';
        char *copy = zstrdup(text);
        assert_non_null(copy);
        assert_ptr_not_equal(copy, text);
        assert_string_equal(copy, text);
        assert_true(aligned(copy));
        assert_true(zmalloc_usable_size(copy) >= length + 1);
        assert_int_equal(zmalloc_used_memory(), used_at_start + zmalloc_size(copy));
        zfree(copy);
    }
}

static void test_libc_free_is_not_counted(void **state)
{
    (void) state;
    char *line = strdup("from the C library");
    assert_non_null(line);
    zlibc_free(line);
    assert_int_equal(zmalloc_used_memory(), used_at_start);
}

static void test_extend_to_usable_returns_its_argument(void **state)
{
    (void) state;
    void *ptr = zmalloc(100);
    assert_ptr_equal(extend_to_usable(ptr, zmalloc_usable_size(ptr)), ptr);
    zfree(ptr);
}

static const struct CMUnitTest tests[] = {
    balanced(test_every_size),
    balanced(test_zeroed),
    balanced(test_all_usable_bytes_are_the_callers),
    balanced(test_size_0_gives_unique_pointers),
    balanced(test_every_way_to_free),
    balanced(test_nothing_comes_of_null),
    balanced(test_usable_need_not_be_asked_for),
    balanced(test_resize),
    balanced(test_resize_in_small_steps),
    balanced(test_calloc_num),
    balanced(test_strdup),
    balanced(test_libc_free_is_not_counted),
    balanced(test_extend_to_usable_returns_its_argument),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
