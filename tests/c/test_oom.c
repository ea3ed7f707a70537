/* SPDX-License-Identifier: BSD-3-Clause */
/* What happens when a request fails: the handler, the result, and the blocks that were there before. */
#include "support.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static void expect_handler(const char *name, bool called, size_t size)
{
    expect(oom.calls == (called ? 1 : 0), name, size);
    expect(!called || oom.size == size, name, size);
    oom.calls = 0;
}

static void test_impossible_sizes(void **state)
{
    (void) state;
    for (size_t w = 0; w < LENGTH(ways); w++) {
        for (size_t s = 0; s < LENGTH(impossible_sizes); s++) {
            size_t usable = 1;
            expect(ways[w].get(impossible_sizes[s], &usable) == NULL, ways[w].name, impossible_sizes[s]);
            expect(usable == 0, ways[w].name, impossible_sizes[s]);
            expect_handler(ways[w].name, ways[w].calls_handler, impossible_sizes[s]);
            expect(zmalloc_used_memory() == used_at_start, ways[w].name, impossible_sizes[s]);
        }
    }
}

static void test_a_failed_resize_leaves_the_block(void **state)
{
    (void) state;
    static const size_t sizes[] = {0, 1, 24, 4000, 300000};

    for (size_t r = 0; r < LENGTH(resizes); r++) {
        for (size_t b = 0; b < LENGTH(sizes); b++) {
            size_t old;
            void *ptr = zmalloc_usable(sizes[b], &old);
            fill(ptr, 0, old, 5);
            size_t used = zmalloc_used_memory();
            for (size_t s = 0; s < LENGTH(impossible_sizes); s++) {
                size_t usable = 1;
                expect(resizes[r].to(ptr, impossible_sizes[s], &usable) == NULL, resizes[r].name,
                       impossible_sizes[s]);
                expect(usable == 0, resizes[r].name, impossible_sizes[s]);
                expect_handler(resizes[r].name, resizes[r].calls_handler, impossible_sizes[s]);
                expect(zmalloc_used_memory() == used, resizes[r].name, impossible_sizes[s]);
                expect(zmalloc_usable_size(ptr) == old, resizes[r].name, impossible_sizes[s]);
                expect(filled(ptr, old, 5), resizes[r].name, impossible_sizes[s]);
            }
            zfree(ptr);
        }
    }
}

static void test_calloc_num_overflow_is_told_as_the_largest_size(void **state)
{
    (void) state;
    static volatile const struct {
        size_t num;
        size_t size;
        size_t told;
    } cases[] = {
        {SIZE_MAX, 2, SIZE_MAX},
        {2, SIZE_MAX, SIZE_MAX},
        {SIZE_MAX, SIZE_MAX, SIZE_MAX},
        {SIZE_MAX / 2 + 1, 2, SIZE_MAX},
        {(size_t) 1 << (sizeof(size_t) * 4), (size_t) 1 << (sizeof(size_t) * 4), SIZE_MAX},
        {SIZE_MAX / 24 + 1, 24, SIZE_MAX},
        /* No overflow, yet too much. */
        {SIZE_MAX / 4, 4, SIZE_MAX / 4 * 4},
        {SIZE_MAX, 1, SIZE_MAX},
        {(size_t) PTRDIFF_MAX + 1, 1, (size_t) PTRDIFF_MAX + 1},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_null(zcalloc_num(cases[i].num, cases[i].size));
        expect_handler("zcalloc_num", true, cases[i].told);
    }
}

/* Lets the process have but a little more address space than it has. */
static struct rlimit limit_memory(size_t more)
{
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);

    FILE *statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    unsigned long pages;
    assert_int_equal(fscanf(statm, "%lu", &pages), 1);
    fclose(statm);

    struct rlimit low = {.rlim_cur = pages * (size_t) sysconf(_SC_PAGESIZE) + more, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
    return old;
}

static void test_memory_that_runs_out(void **state)
{
    (void) state;
    enum { LENGTH_OF_TEXT = 400 << 20 };
    skip_if_emulated("no limit on memory holds");
    char *text = mmap(NULL, LENGTH_OF_TEXT + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(text, MAP_FAILED);
    /* Huge pages keep the pages few that a text so long takes. */
    madvise(text, LENGTH_OF_TEXT + 1, MADV_HUGEPAGE);
    memset(text, 'x', LENGTH_OF_TEXT);

    size_t usable;
    void *old = zmalloc_usable(10000, &usable);
    fill(old, 0, usable, 7);
    size_t used = zmalloc_used_memory();

    struct rlimit limit = limit_memory((size_t) 8 << 20);
    char *copy = zstrdup(text);
    struct oom_notes after_strdup = oom;
    void *moved = zrealloc(old, LENGTH_OF_TEXT);
    struct oom_notes after_realloc = oom;
    void *tried = ztryrealloc(old, LENGTH_OF_TEXT);
    void *small = ztrymalloc(100);
    size_t used_when_full = zmalloc_used_memory();
    size_t size_of_small = zmalloc_size(small);
    zfree(small);
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);

    assert_null(copy);
    assert_int_equal(after_strdup.calls, 1);
    assert_int_equal(after_strdup.size, LENGTH_OF_TEXT + 1);
    assert_null(moved);
    assert_int_equal(after_realloc.calls, 2);
    assert_int_equal(after_realloc.size, LENGTH_OF_TEXT);
    assert_null(tried);
    assert_int_equal(oom.calls, 2);
    assert_int_equal(used_when_full, used + size_of_small);
    assert_true(filled(old, usable, 7));

    zfree(old);
    munmap(text, LENGTH_OF_TEXT + 1);
}

static jmp_buf way_out;

static void jump(size_t size)
{
    note_oom(size);
    longjmp(way_out, 1);
}

static void test_a_handler_may_jump(void **state)
{
    (void) state;
    static void *old;
    static size_t w;

    old = zmalloc(100);
    fill(old, 0, 100, 9);
    zmalloc_set_oom_handler(jump);
    for (w = 0; w < LENGTH(ways); w++) {
        if (!ways[w].calls_handler) {
            continue;
        }
        if (setjmp(way_out) == 0) {
            size_t usable;
            ways[w].get(impossible_sizes[0], &usable);
            fail_msg("%s came back", ways[w].name);
        }
        expect_handler(ways[w].name, true, impossible_sizes[0]);
    }
    if (setjmp(way_out) == 0) {
        old = zrealloc(old, impossible_sizes[1]);
        fail_msg("zrealloc came back");
    }
    expect_handler("zrealloc", true, impossible_sizes[1]);
    assert_true(filled(old, 100, 9));
    zfree(old);
}

static void *ballast;
static void *from_handler;

static void make_room(size_t size)
{
    note_oom(size);
    zfree(ballast);
    ballast = NULL;
    from_handler = ztrymalloc(50);
    assert_null(ztrymalloc(size));
}

static void test_a_handler_may_free_and_try(void **state)
{
    (void) state;
    ballast = zmalloc(100000);
    zmalloc_set_oom_handler(make_room);
    assert_null(zmalloc(impossible_sizes[0]));
    expect_handler("zmalloc", true, impossible_sizes[0]);
    assert_null(ballast);
    assert_non_null(from_handler);
    assert_int_equal(zmalloc_used_memory(), used_at_start + zmalloc_size(from_handler));
    zfree(from_handler);
}

static struct oom_notes other_notes;

static void note_elsewhere(size_t size)
{
    other_notes.calls++;
    other_notes.size = size;
}

static void test_the_last_handler_set_is_the_one(void **state)
{
    (void) state;
    other_notes = (struct oom_notes){0};
    zmalloc_set_oom_handler(note_elsewhere);
    assert_null(zmalloc(impossible_sizes[0]));
    assert_int_equal(oom.calls, 0);
    assert_int_equal(other_notes.calls, 1);
    zmalloc_set_oom_handler(note_oom);
    assert_null(zcalloc(impossible_sizes[0]));
    assert_int_equal(oom.calls, 1);
    assert_int_equal(other_notes.calls, 1);
}

static const struct CMUnitTest tests[] = {
    balanced(test_impossible_sizes),
    balanced(test_a_failed_resize_leaves_the_block),
    balanced(test_calloc_num_overflow_is_told_as_the_largest_size),
    balanced(test_memory_that_runs_out),
    balanced(test_a_handler_may_jump),
    balanced(test_a_handler_may_free_and_try),
    balanced(test_the_last_handler_set_is_the_one),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
