/* SPDX-License-Identifier: BSD-3-Clause */
/* The step between small sizes, and what it does to the alignment of blocks. */
#include "support.h"
#include "zmalloc.h"

#include <string.h>

enum { MOST = 1024, EACH = 8 };

/* As many blocks of a size as a few neighbours have different alignments. */
static size_t least_alignment(size_t size)
{
    void *blocks[EACH];
    uintptr_t bits = 0;
    for (size_t i = 0; i < EACH; i++) {
        blocks[i] = zmalloc(size);
        bits |= (uintptr_t) blocks[i];
    }
    for (size_t i = 0; i < EACH; i++) {
        zfree(blocks[i]);
    }
    return (size_t) (bits & -bits);
}

static void test_each_size_is_aligned_as_promised(void **state)
{
    (void) state;
    for (size_t size = 1; size <= MOST; size++) {
        void *ptr = zmalloc(size);
        expect(aligned(ptr), "zmalloc", size);
        zfree(ptr);
        size_t promised = _Alignof(max_align_t);
#ifdef ZMALLOC_QUANTUM
        promised = size % 16 == 0 ? promised : ZMALLOC_QUANTUM;
#endif
        expect(least_alignment(size) >= promised, "zmalloc", size);
    }
}

#ifdef ZMALLOC_QUANTUM

static void test_small_sizes_take_no_more(void **state)
{
    (void) state;
    static const size_t sizes[] = {8, 16, 24, 32, 40, 48, 56, 64};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t before = zmalloc_used_memory();
        void *ptr = zmalloc(sizes[i] - 3);
        assert_int_equal(zmalloc_size(ptr), sizes[i]);
        assert_int_equal(zmalloc_used_memory() - before, sizes[i]);
        assert_int_equal(zmalloc_good_size(sizes[i] - 3), sizes[i]);
        zfree(ptr);
    }
    assert_int_equal(zmalloc_good_size(65), 80);
}

/* The header's exception is one that a program meets. */
static void test_a_block_of_24_bytes_is_aligned_for_8(void **state)
{
    (void) state;
    assert_int_equal(least_alignment(24), 8);
    assert_int_equal(least_alignment(40), 8);
    assert_int_equal(least_alignment(56), 8);
}

static void test_an_alignment_that_is_asked_for(void **state)
{
    (void) state;
    for (size_t size = 1; size <= MOST; size++) {
        char *ptr = zaligned_alloc(16, size);
        expect((uintptr_t) ptr % 16 == 0, "zaligned_alloc", size);
        memset(ptr, (int) size, size);
        ptr = zrealloc(ptr, size + 8);
        expect(ptr[0] == (char) size && ptr[size - 1] == (char) size, "zrealloc", size);
        expect(aligned(ptr), "zrealloc", size);
        zfree_with_size(ptr, size + 8);
    }
    assert_int_equal(zmalloc_used_memory(), 0);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_size_is_aligned_as_promised),
#ifdef ZMALLOC_QUANTUM
        cmocka_unit_test(test_small_sizes_take_no_more),
        cmocka_unit_test(test_a_block_of_24_bytes_is_aligned_for_8),
        cmocka_unit_test(test_an_alignment_that_is_asked_for),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
