/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks in slabs that are nearly empty: which of them are worth moving, and what comes back when they move. */
#include "support.h"

#include <errno.h>
#include <pthread.h>

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

/* Where a kernel may have pages of 64 KiB, jemalloc has such pages: so many small blocks are in few slabs there. */
#if defined(__aarch64__) || defined(__powerpc64__)
enum { SIZE_OF_MANY_SLABS = 320, LARGE_SIZE = 1000000 };
#else
enum { SIZE_OF_MANY_SLABS = 1, LARGE_SIZE = 100000 };
#endif

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
        if (sizes[i] < SIZE_OF_MANY_SLABS) {
            continue;
        }
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
    fill_up(blocks, LARGE, LARGE_SIZE);
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

static struct zmalloc_defrag defrag_all(void **them, size_t count)
{
    struct zmalloc_defrag done = {.size = sizeof(done)};
    assert_int_equal(zmalloc_defrag(them, count, 0, 0, &done), 0);
    assert_int_equal(done.size, sizeof(done));
    assert_int_equal(done.position, count);
    return done;
}

static size_t active_now(void)
{
    size_t active;
    assert_int_equal(zmalloc_allocator_info(NULL, &active, NULL), 0);
    return active;
}

static void check_contents(void *const *them, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        if (them[i] != NULL) {
            expect(filled(them[i], size, (unsigned) i) && aligned(them[i]), "a block that may have moved", size);
        }
    }
}

/* Three of four are freed, and the rest keeps nearly all pages until it moves. */
static void test_defrag_gives_pages_back(void **state)
{
    (void) state;
    skip_if_it_can_not();
    static const size_t sizes[] = {1, 24, 100, 320, 1500, 3000};
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        size_t size = sizes[i];
        if (size < SIZE_OF_MANY_SLABS) {
            continue;
        }
        zmalloc_purge(NULL);
        size_t empty = active_now();
        fill_up(blocks, BLOCKS, size);
        thin_out(blocks, BLOCKS, 4);
        size_t used = zmalloc_used_memory();
        size_t allocated = zmalloc_total_allocated();
        size_t before = active_now();
        struct zmalloc_defrag done = defrag_all(blocks, BLOCKS);
        assert_int_equal(zmalloc_used_memory(), used);
        assert_int_equal(zmalloc_total_allocated() - allocated, done.moved_bytes);
        assert_int_equal(done.asked, BLOCKS / 4);
        assert_int_equal(done.refused, 0);
        expect(done.moved > BLOCKS / 8 && done.moved < BLOCKS / 4, "moved", size);
        expect(done.moved_bytes == done.moved * zmalloc_size(blocks[0]), "bytes", size);
        if (HARDENED) {
            zmalloc_purge(NULL);
        }
        size_t after = active_now();
        expect(done.freed_bytes == (HARDENED ? 0 : before - after), "freed", size);
        expect(after - empty < (before - empty) * 2 / 5, "active", size);
        check_contents(blocks, BLOCKS, size);
        assert_true(HARDENED || defrag_all(blocks, BLOCKS).moved < BLOCKS / 40);
        free_all(blocks, BLOCKS);
    }
}

static void *thin_out_here(void *unused)
{
    fill_up(blocks, BLOCKS, 100);
    thin_out(blocks, BLOCKS, 4);
    return unused;
}

/* They stay in its arena: in another one they would need new pages. */
static void test_defrag_of_another_thread_s_blocks(void **state)
{
    (void) state;
    skip_if_it_can_not();
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, thin_out_here, NULL), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    zmalloc_purge(NULL);
    size_t before = active_now();
    struct zmalloc_defrag done = defrag_all(blocks, BLOCKS);
    assert_true(done.moved > BLOCKS / 8);
    assert_true(HARDENED || done.freed_bytes == before - active_now());
    check_contents(blocks, BLOCKS, 100);
    free_all(blocks, BLOCKS);
}

/* A step does at least one, and goes on where the last one ended. */
static void test_defrag_in_steps(void **state)
{
    (void) state;
    skip_if_it_can_not();
    fill_up(blocks, BLOCKS, 80);
    thin_out(blocks, BLOCKS, 4);
    size_t before = active_now();
    struct zmalloc_defrag step = {.size = sizeof(step)};
    size_t steps = 0;
    size_t asked = 0;
    size_t freed = 0;
    while (step.position < BLOCKS) {
        size_t start = step.position;
        assert_int_equal(zmalloc_defrag(blocks, BLOCKS, start, 1, &step), 0);
        assert_true(step.position > start && step.asked <= step.position - start);
        asked += step.asked;
        freed += step.freed_bytes;
        steps++;
    }
    assert_true(steps > BLOCKS / 200);
    assert_int_equal(asked, BLOCKS / 4);
    assert_true(HARDENED || freed == before - active_now());
    check_contents(blocks, BLOCKS, 80);
    /* Time enough for all of them. */
    assert_int_equal(zmalloc_defrag(blocks, BLOCKS, 0, SIZE_MAX, &step), 0);
    assert_int_equal(step.position, BLOCKS);
    free_all(blocks, BLOCKS);
}

static void test_defrag_of_nothing(void **state)
{
    (void) state;
    skip_if_it_can_not();
    static const struct zmalloc_defrag nothing = {.size = sizeof(nothing)};
    void *none[] = {NULL, NULL, NULL};
    struct zmalloc_defrag done;
    memset(&done, 7, sizeof(done));
    done.size = sizeof(done);
    assert_int_equal(zmalloc_defrag(NULL, 0, 0, 0, &done), 0);
    assert_memory_equal(&done, &nothing, sizeof(done));
    done = defrag_all(none, LENGTH(none));
    assert_int_equal(done.asked + done.moved + done.moved_bytes + done.refused + done.freed_bytes, 0);
    assert_int_equal(zmalloc_defrag(none, 2, 3, 0, &done), 0);
    assert_int_equal(done.position, 3);
}

static void test_defrag_refuses_what_it_can_not_do(void **state)
{
    (void) state;
    void *block = zmalloc(100);
    void *before = block;
    struct zmalloc_defrag done = {.size = sizeof(done), .moved = 7};
    assert_int_equal(zmalloc_defrag(&block, 1, 0, 0, NULL), -EINVAL);
    assert_int_equal(zmalloc_defrag(NULL, 1, 0, 0, &done), -EINVAL);
    done.size--;
    assert_int_equal(zmalloc_defrag(&block, 1, 0, 0, &done), -EINVAL);
    assert_int_equal(done.size, sizeof(done) - 1);
    assert_int_equal(done.moved, 7);
    done.size = sizeof(done) + 100;
    assert_int_equal(zmalloc_defrag(&block, 1, 0, 0, &done), can_defrag() ? 0 : -ENOTSUP);
    assert_int_equal(done.size, sizeof(done));
    assert_int_equal(done.position, can_defrag());
    assert_int_equal(done.moved, 0);
    assert_ptr_equal(block, before);
    zfree(block);
}

static void test_hints_of_many(void **state)
{
    (void) state;
    int expected = can_defrag() ? 0 : -ENOTSUP;
    int hints[] = {7, 7, 7};
    void *few[] = {zmalloc(100), NULL, zmalloc(5000)};
    assert_int_equal(zmalloc_defrag_hints(NULL, 0, NULL), expected);
    assert_int_equal(zmalloc_defrag_hints(few, 0, hints), expected);
    assert_int_equal(hints[0], 7);
    assert_int_equal(zmalloc_defrag_hints(NULL, 1, hints), -EINVAL);
    assert_int_equal(zmalloc_defrag_hints(few, 1, NULL), -EINVAL);
    assert_int_equal(zmalloc_defrag_hints(few, 3, hints), expected);
    assert_int_equal(hints[0] | hints[1] | hints[2], 0);
    free_all(few, 3);
    if (can_defrag()) {
        static int all[BLOCKS];
        fill_up(blocks, BLOCKS, 48);
        thin_out(blocks, BLOCKS, 3);
        assert_int_equal(zmalloc_defrag_hints(blocks, BLOCKS, all), 0);
        size_t helped = 0;
        for (size_t i = 0; i < BLOCKS; i++) {
            assert_int_equal(all[i], hint_of(blocks[i]));
            helped += (size_t) all[i];
        }
        assert_true(helped > BLOCKS / 6);
        free_all(blocks, BLOCKS);
    }
}

/* Old and new stand side by side for a moment. No limit is in the way of that. */
static void test_defrag_within_a_limit(void **state)
{
    (void) state;
    skip_if_it_can_not();
    fill_up(blocks, BLOCKS, 100);
    thin_out(blocks, BLOCKS, 4);
    size_t used = zmalloc_used_memory();
    for (int below = 0; below < 2; below++) {
        assert_int_equal(zmalloc_set_limit(used - (below ? used / 2 : 0)), 0);
        assert_null(ztrymalloc(100));
        struct zmalloc_defrag done = defrag_all(blocks, BLOCKS);
        assert_int_equal(zmalloc_used_memory(), used);
        assert_int_equal(done.asked, BLOCKS / 4);
        expect(below || (done.moved > BLOCKS / 8 && done.refused == 0), "moved", done.moved);
        check_contents(blocks, BLOCKS, 100);
        assert_null(ztrymalloc(100));
    }
    assert_int_equal(zmalloc_set_limit(0), 0);
    free_all(blocks, BLOCKS);
}

/* What the block was aligned for, nobody tells: where it moves to is as well aligned. */
static void test_defrag_keeps_alignments(void **state)
{
    (void) state;
    skip_if_it_can_not();
    enum { ALIGNED = 4000 };
    static const size_t sizes[] = {1, 40, 100, 600, 2000};
    size_t moved = 0;
    for (size_t alignment = 8; alignment <= 8192; alignment *= 2) {
        for (size_t i = 0; i < LENGTH(sizes); i++) {
            for (size_t j = 0; j < ALIGNED; j++) {
                blocks[j] = zaligned_alloc(alignment, sizes[i]);
                fill(blocks[j], 0, sizes[i], (unsigned) j);
            }
            thin_out(blocks, ALIGNED, 5);
            size_t used = zmalloc_used_memory();
            moved += defrag_all(blocks, ALIGNED).moved;
            assert_int_equal(zmalloc_used_memory(), used);
            for (size_t j = 0; j < ALIGNED; j += 5) {
                expect((uintptr_t) blocks[j] % alignment == 0, "a moved block", alignment);
            }
            check_contents(blocks, ALIGNED, sizes[i]);
            free_all(blocks, ALIGNED);
        }
    }
    assert_true(moved > ALIGNED);
}

/* Every byte that may be used is moved, and the block may still be freed and resized in any way. */
static void test_moved_blocks_are_like_others(void **state)
{
    (void) state;
    skip_if_it_can_not();
    enum { FEW = 3000 };
    for (size_t i = 0; i < LENGTH(releases); i++) {
        for (size_t j = 0; j < FEW; j++) {
            size_t usable;
            blocks[j] = zmalloc_usable(50, &usable);
            blocks[j] = extend_to_usable(blocks[j], usable);
            fill(blocks[j], 0, usable, (unsigned) j);
        }
        thin_out(blocks, FEW, 4);
        size_t usable = zmalloc_usable_size(blocks[0]);
        assert_true(defrag_all(blocks, FEW).moved > FEW / 8);
        for (size_t j = 0; j < FEW; j += 4) {
            assert_int_equal(zmalloc_usable_size(blocks[j]), usable);
            assert_true(filled(blocks[j], usable, (unsigned) j));
            releases[i].give(blocks[j]);
        }
    }
}

static const struct CMUnitTest tests[] = {
    balanced(test_who_can_not_tell_says_so),
    balanced(test_no_block_of_full_slabs_is_worth_moving),
    balanced(test_blocks_of_thin_slabs_are_worth_moving),
    balanced(test_the_only_slab_is_not_worth_leaving),
    balanced(test_large_blocks_are_not_worth_moving),
    balanced(test_aligned_blocks_are_asked_about_like_others),
    balanced(test_hints_of_many),
    balanced(test_defrag_gives_pages_back),
    balanced(test_defrag_of_another_thread_s_blocks),
    balanced(test_defrag_in_steps),
    balanced(test_defrag_of_nothing),
    balanced(test_defrag_refuses_what_it_can_not_do),
    balanced(test_defrag_within_a_limit),
    balanced(test_defrag_keeps_alignments),
    balanced(test_moved_blocks_are_like_others),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
