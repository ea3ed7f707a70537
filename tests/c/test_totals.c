/* SPDX-License-Identifier: BSD-3-Clause */
/* Totals, what a thread did itself, and the peak. */
#include "sanitizers.h"
#include "support.h"

#include <pthread.h>

/* All four figures, and the differences between two readings of them. */
struct figures {
    size_t total_allocated;
    size_t total_freed;
    size_t thread_allocated;
    size_t thread_freed;
};

static struct figures figures_now(void)
{
    return (struct figures){zmalloc_total_allocated(), zmalloc_total_freed(), zmalloc_thread_allocated(),
                            zmalloc_thread_freed()};
}

static struct figures since(struct figures before)
{
    struct figures now = figures_now();
    return (struct figures){now.total_allocated - before.total_allocated, now.total_freed - before.total_freed,
                            now.thread_allocated - before.thread_allocated, now.thread_freed - before.thread_freed};
}

/* This thread alone is at work: its figures grow as the totals do. */
static void expect_growth(struct figures before, size_t allocated, size_t freed, const char *name, size_t size)
{
    struct figures growth = since(before);
    expect(growth.total_allocated == allocated, name, size);
    expect(growth.thread_allocated == allocated, name, size);
    expect(growth.total_freed == freed, name, size);
    expect(growth.thread_freed == freed, name, size);
    expect(zmalloc_total_allocated() - zmalloc_total_freed() == zmalloc_used_memory(), name, size);
}

static const size_t sizes[] = {0, 1, 24, 100, 4096, 9000, 70000, 3000000};

static void test_every_call_is_counted_once(void **state)
{
    (void) state;
    for (size_t w = 0; w < LENGTH(ways); w++) {
        for (size_t s = 0; s < LENGTH(sizes); s++) {
            for (size_t r = 0; r < LENGTH(releases); r++) {
                struct figures before = figures_now();
                size_t usable;
                void *ptr = ways[w].get(sizes[s], &usable);
                size_t bytes = zmalloc_size(ptr);
                expect_growth(before, bytes, 0, ways[w].name, sizes[s]);
                releases[r].give(ptr);
                expect_growth(before, bytes, bytes, releases[r].name, sizes[s]);
            }
        }
    }
}

static void test_aligned_blocks(void **state)
{
    (void) state;
    for (size_t alignment = 1; alignment <= 1 << 16; alignment *= 2) {
        struct figures before = figures_now();
        void *ptr = zaligned_alloc(alignment, 1000);
        size_t bytes = zmalloc_size(ptr);
        expect_growth(before, bytes, 0, "zaligned_alloc", alignment);
        zfree(ptr);
        expect_growth(before, bytes, bytes, "zaligned_alloc", alignment);
    }
}

/* In place or not: one block freed, one allocated. */
static void test_a_resize_is_one_freed_and_one_allocated(void **state)
{
    (void) state;
    for (size_t r = 0; r < LENGTH(resizes); r++) {
        for (size_t from = 0; from < LENGTH(sizes); from++) {
            for (size_t to = 1; to < LENGTH(sizes); to++) {
                void *ptr = zmalloc(sizes[from]);
                size_t old = zmalloc_size(ptr);
                struct figures before = figures_now();
                size_t usable;
                ptr = resizes[r].to(ptr, sizes[to], &usable);
                expect_growth(before, zmalloc_size(ptr), old, resizes[r].name, sizes[to]);
                zfree(ptr);
            }
        }
    }
}

static void test_failures_count_nothing(void **state)
{
    (void) state;
    void *ptr = zmalloc(1000);
    struct figures before = figures_now();
    size_t usable;
    for (size_t s = 0; s < LENGTH(impossible_sizes); s++) {
        for (size_t w = 0; w < LENGTH(ways); w++) {
            assert_null(ways[w].get(impossible_sizes[s], &usable));
        }
        for (size_t r = 0; r < LENGTH(resizes); r++) {
            assert_null(resizes[r].to(ptr, impossible_sizes[s], &usable));
        }
        assert_null(ztryaligned_alloc(4096, impossible_sizes[s]));
    }
    assert_null(ztryaligned_alloc(48, 1));
    expect_growth(before, 0, 0, "failures", 0);
    zfree(ptr);
}

static void run(void *(*work)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, work, argument), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Checks in other threads are noted; cmocka's can only be made in its own. */
struct notes {
    void *block;
    size_t allocated;
    size_t freed;
    bool holds;
};

static bool thread_figures_are(size_t allocated, size_t freed)
{
    return zmalloc_thread_allocated() == allocated && zmalloc_thread_freed() == freed;
}

static void *allocate_and_free(void *argument)
{
    struct notes *notes = argument;
    notes->holds = thread_figures_are(0, 0);
    for (size_t s = 0; s < LENGTH(sizes); s++) {
        void *ptr = zmalloc(sizes[s]);
        notes->allocated += zmalloc_size(ptr);
        notes->holds = notes->holds && thread_figures_are(notes->allocated, notes->freed);
        notes->freed += zmalloc_size(ptr);
        zfree(ptr);
        notes->holds = notes->holds && thread_figures_are(notes->allocated, notes->freed);
    }
    return NULL;
}

static void test_a_thread_begins_with_nothing(void **state)
{
    (void) state;
    for (int i = 0; i < 50; i++) {
        struct notes notes = {0};
        struct figures before = figures_now();
        run(allocate_and_free, &notes);
        assert_true(notes.holds);
        struct figures growth = since(before);
        assert_int_equal(growth.thread_allocated, 0);
        assert_int_equal(growth.thread_freed, 0);
        assert_int_equal(growth.total_allocated, notes.allocated);
        assert_int_equal(growth.total_freed, notes.freed);
    }
}

static void *free_only(void *argument)
{
    struct notes *notes = argument;
    size_t bytes = zmalloc_size(notes->block);
    zfree(notes->block);
    notes->holds = thread_figures_are(0, bytes);
    return NULL;
}

static void test_a_thread_that_only_frees(void **state)
{
    (void) state;
    for (size_t s = 0; s < LENGTH(sizes); s++) {
        struct figures before = figures_now();
        struct notes notes = {.block = zmalloc(sizes[s])};
        size_t bytes = zmalloc_size(notes.block);
        run(free_only, &notes);
        assert_true(notes.holds);
        struct figures growth = since(before);
        assert_int_equal(growth.thread_freed, 0);
        assert_int_equal(growth.thread_allocated, bytes);
        assert_int_equal(growth.total_freed, bytes);
    }
}

static pthread_key_t key;
static int rounds_left;

/* In each round of destructors, the last included. */
static void count_on(void *argument)
{
    struct notes *notes = argument;
    void *ptr = zmalloc(1234);
    notes->allocated += zmalloc_size(ptr);
    notes->holds = notes->holds && thread_figures_are(notes->allocated, notes->freed);
    notes->freed += zmalloc_size(ptr);
    zfree(ptr);
    notes->holds = notes->holds && thread_figures_are(notes->allocated, notes->freed);
    if (--rounds_left > 0) {
        pthread_setspecific(key, argument);
    }
}

static void *end_in_rounds(void *argument)
{
    allocate_and_free(argument);
    pthread_setspecific(key, argument);
    return NULL;
}

/* A thread that does nothing before its end; its first call is in a destructor, but not in the last round. */
static void *end_at_once(void *argument)
{
    struct notes *notes = argument;
    notes->holds = true;
    pthread_setspecific(key, argument);
    return NULL;
}

static void test_a_thread_that_ends(void **state)
{
    (void) state;
    assert_int_equal(pthread_key_create(&key, count_on), 0);
    for (int i = 0; i < 20; i++) {
        rounds_left = DESTRUCTOR_ROUNDS;
        struct notes notes = {0};
        struct figures before = figures_now();
        run(i % 2 == 0 ? end_in_rounds : end_at_once, &notes);
        assert_int_equal(rounds_left, 0);
        assert_true(notes.holds);
        struct figures growth = since(before);
        assert_int_equal(growth.total_allocated, notes.allocated);
        assert_int_equal(growth.total_freed, notes.freed);
        assert_int_equal(growth.thread_allocated, 0);
        assert_int_equal(growth.thread_freed, 0);
    }
    pthread_key_delete(key);
}

static void expect_peak(size_t peak)
{
    assert_int_equal(zmalloc_peak_memory(), peak);
}

static void test_peak(void **state)
{
    (void) state;
    zmalloc_reset_peak_memory();
    expect_peak(used_at_start);

    void *block = zmalloc(100000);
    size_t high = used_at_start + zmalloc_size(block);
    expect_peak(high);
    zfree(block);
    expect_peak(high);

    /* Lower than the peak: it stays. Higher: it rises, also by a reading of another kind. */
    void *lower = zmalloc(50000);
    expect_peak(high);
    void *higher = zmalloc(200000);
    high = zmalloc_used_memory();
    assert_int_equal(high, used_at_start + zmalloc_size(lower) + zmalloc_size(higher));
    zfree(higher);
    expect_peak(high);

    zmalloc_reset_peak_memory();
    expect_peak(used_at_start + zmalloc_size(lower));
    zfree(lower);
    assert_int_equal(zmalloc_used_memory(), used_at_start);
    assert_true(zmalloc_peak_memory() > used_at_start);
    zmalloc_reset_peak_memory();
    expect_peak(used_at_start);
}

/* Nobody read while it was there, and totals are no readings of the bytes in use. */
static void test_a_peak_that_nobody_saw(void **state)
{
    (void) state;
    zmalloc_reset_peak_memory();
    void *block = zmalloc(1 << 20);
    assert_true(zmalloc_total_allocated() - zmalloc_total_freed() > used_at_start);
    zfree(block);
    expect_peak(used_at_start);
}

static void *read_peak_of(void *argument)
{
    void *block = zmalloc(300000);
    *(size_t *) argument = zmalloc_used_memory();
    zfree(block);
    return NULL;
}

static void test_peak_is_of_all_threads(void **state)
{
    (void) state;
    zmalloc_reset_peak_memory();
    size_t seen = 0;
    run(read_peak_of, &seen);
    assert_true(seen >= used_at_start + 300000);
    expect_peak(seen);
    zmalloc_reset_peak_memory();
}

static const struct CMUnitTest tests[] = {
    balanced(test_every_call_is_counted_once),
    balanced(test_aligned_blocks),
    balanced(test_a_resize_is_one_freed_and_one_allocated),
    balanced(test_failures_count_nothing),
    balanced(test_a_thread_begins_with_nothing),
    balanced(test_a_thread_that_only_frees),
    balanced(test_a_thread_that_ends),
    balanced(test_peak),
    balanced(test_a_peak_that_nobody_saw),
    balanced(test_peak_is_of_all_threads),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
