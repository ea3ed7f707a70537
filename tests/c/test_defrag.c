/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks in slabs that are nearly empty: which of them are worth moving. */
#include "support.h"

#include <errno.h>

static bool can_defrag(void)
{
    return allocator_is("jemalloc");
}

static void skip_if_it_can_not(void)
{
    if (!can_defrag()) {
        print_message("skipped: this allocator can't say what helps\n");
        skip();
    }
}

static int hint_of(void *block)
{
    int helps = 7;
    assert_int_equal(zmalloc_defrag_hint(block, &helps), 0);
    assert_true(helps == 0 || helps == 1);
    return helps;
}

/* How many of the blocks are worth moving. */
static size_t count_hints(void *const *blocks, size_t count)
{
    size_t helped = 0;
    for (size_t i = 0; i < count; i++) {
        helped += (size_t) hint_of(blocks[i]);
    }
    return helped;
}

static void fill_up(void **blocks, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = zmalloc(size);
        fill(blocks[i], 0, size, (unsigned) i);
    }
}

/* Of each group of so many one stays. What was freed is in no cache and in no quarantine afterwards. */
static void thin_out(void **blocks, size_t count, size_t group)
{
    for (size_t i = 0; i < count; i++) {
        if (i % group != 0) {
            zfree(blocks[i]);
            blocks[i] = NULL;
        }
    }
    zmalloc_purge(NULL);
}

static void free_all(void **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        zfree(blocks[i]);
        blocks[i] = NULL;
    }
}

enum { BLOCKS = 20000 };
static void *blocks[BLOCKS];

static void test_who_can_not_tell_says_so(void **state)
{
    (void) state;
    void *block = zmalloc(100);
    void *const asked[] = {NULL, block};
    for (size_t i = 0; i < LENGTH(asked); i++) {
        int helps = 7;
        assert_int_equal(zmalloc_defrag_hint(asked[i], &helps), can_defrag() ? 0 : -ENOTSUP);
        assert_int_equal(helps, 0);
        assert_int_equal(zmalloc_defrag_hint(asked[i], NULL), -EINVAL);
    }
    zfree(block);
}

static void test_no_block_of_full_slabs_is_worth_moving(void **state)
{
    (void) state;
    skip_if_it_can_not();
    fill_up(blocks, BLOCKS, 200);
    assert_int_equal(count_hints(blocks, BLOCKS), 0);
    free_all(blocks, BLOCKS);
}

/* The slabs are all alike, but for the one that is being filled. */
static void test_blocks_of_thin_slabs_are_worth_moving(void **state)
{
    (void) state;
    skip_if_it_can_not();
    static const size_t sizes[] = {16, 80, 320, 1500};
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        fill_up(blocks, BLOCKS, sizes[i]);
        thin_out(blocks, BLOCKS, 4);
        size_t helped = count_hints(blocks, BLOCKS);
        expect(helped >= BLOCKS / 4 * 9 / 10 && helped < BLOCKS / 4, "hints", sizes[i]);
        free_all(blocks, BLOCKS);
    }
}

/* However thin a slab is: without room for its blocks it can't be emptied. */
static void test_the_only_slab_is_not_worth_leaving(void **state)
{
    (void) state;
    skip_if_it_can_not();
    enum { FEW = 5 };
    fill_up(blocks, FEW, 2500);
    assert_int_equal(count_hints(blocks, FEW), 0);
    free_all(blocks, FEW);
}

static void test_large_blocks_are_not_worth_moving(void **state)
{
    (void) state;
    skip_if_it_can_not();
    enum { LARGE = 100 };
    fill_up(blocks, LARGE, 100000);
    thin_out(blocks, LARGE, 2);
    assert_int_equal(count_hints(blocks, LARGE), 0);
    free_all(blocks, LARGE);
}

static void test_aligned_blocks_are_asked_about_like_others(void **state)
{
    (void) state;
    skip_if_it_can_not();
    static const size_t alignments[] = {64, 4096};
    for (size_t i = 0; i < LENGTH(alignments); i++) {
        enum { ALIGNED = 2000 };
        for (size_t j = 0; j < ALIGNED; j++) {
            blocks[j] = zaligned_alloc(alignments[i], 700);
        }
        thin_out(blocks, ALIGNED, 4);
        size_t helped = count_hints(blocks, ALIGNED);
        expect(alignments[i] != 64 || helped > ALIGNED / 4 / 2, "hints", alignments[i]);
        free_all(blocks, ALIGNED);
    }
}

static const struct CMUnitTest tests[] = {
    balanced(test_who_can_not_tell_says_so),
    balanced(test_no_block_of_full_slabs_is_worth_moving),
    balanced(test_blocks_of_thin_slabs_are_worth_moving),
    balanced(test_the_only_slab_is_not_worth_leaving),
    balanced(test_large_blocks_are_not_worth_moving),
    balanced(test_aligned_blocks_are_asked_about_like_others),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
