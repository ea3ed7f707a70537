/* SPDX-License-Identifier: BSD-3-Clause */
/* The hard limit on the bytes in use, by one thread mostly: to the byte. */
#include "limited.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZES_FROM = 2, SIZES_TO = 300000 };

/* In the C library's place: whoever waits for other threads comes by here, and one thread has none to wait for. */
static _Atomic size_t yields;

int sched_yield(void)
{
    atomic_fetch_add(&yields, 1);
    return 0;
}

static int forget_yields(void **state)
{
    atomic_store(&yields, 0);
    return set_up(state);
}

#define without_waiting(test) cmocka_unit_test_setup_teardown(test, forget_yields, tear_down)

/* libc's blocks of one size may differ: by what is too little for a block of its own, or have whole pages to
 * themselves. */
static size_t variation(size_t size)
{
    return !allocator_is("libc") ? 0 : size < 64 << 10 ? 32 : 8 << 10;
}

/* Just enough room, and too little. */
static void check_way(const struct way *way, size_t size)
{
    size_t usable = 1;
    void *ptr = way->get(size, &usable);
    assert_non_null(ptr);
    size_t bytes = zmalloc_size(ptr);
    zfree(ptr);

    size_t used = zmalloc_used_memory();
    limit_to(used + bytes + variation(size));
    ptr = way->get(size, &usable);
    if (ptr == NULL) {
        fail_msg("%s: %zu bytes, of which %zu are used", way->name, size, bytes);
    }
    size_t got = zmalloc_size(ptr);
    assert_true(got <= bytes + variation(size));
    assert_int_equal(zmalloc_used_memory(), used + got);
    zfree(ptr);

    handler_calls = 0;
    limit_to(used + size - 1);
    assert_null(way->get(size, &usable));
    assert_int_equal(usable, 0);
    assert_int_equal(handler_calls, way->calls_handler);
    assert_true(!way->calls_handler || handler_size == size);
    assert_int_equal(zmalloc_used_memory(), used);
    limit_to(0);
}

static void test_every_way_stays_within(void **state)
{
    (void) state;
    for (size_t i = 0; i < LENGTH(ways); i++) {
        for (size_t size = SIZES_FROM; size < SIZES_TO; size = size * 3 + 1) {
            check_way(&ways[i], size);
        }
    }
    assert_int_equal(atomic_load(&yields), 0);
}

/* libc leaves a block what is too little for one of its own: 16 bytes here, which no call tells before. */
static void check_what_is_beyond_its_size(const struct way *way)
{
    enum { LARGE = 2008, LESS = LARGE - 16 };
    size_t usable;
    void *before = way->get(LARGE, &usable);
    void *large = way->get(LARGE, &usable);
    void *after = way->get(LARGE, &usable);
    size_t bytes = zmalloc_size(large);
    zfree(large);
    size_t used = zmalloc_used_memory();
    for (size_t room = LESS; room <= bytes; room++) {
        limit_to(used + room);
        void *ptr = way->get(LESS, &usable);
        assert_true(zmalloc_used_memory() <= zmalloc_limit());
        assert_true(ptr != NULL || room < bytes + variation(LESS));
        zfree(ptr);
        assert_int_equal(zmalloc_used_memory(), used);
    }
    limit_to(0);
    zfree(before);
    zfree(after);
}

static void test_what_a_block_has_beyond_its_size_counts(void **state)
{
    (void) state;
    for (size_t i = 0; i < LENGTH(ways); i++) {
        check_what_is_beyond_its_size(&ways[i]);
    }
    assert_int_equal(atomic_load(&yields), 0);
}

/* jemalloc counts a block before we can look at it; it is not to be claimed once more. */
static void check_room_for_aligned(size_t alignment, size_t size, size_t bytes)
{
    enum { PAGE = 4096 };
    if (allocator_is("jemalloc") && alignment <= PAGE && size <= PAGE) {
        limit_to(zmalloc_used_memory() + bytes);
        void *ptr = ztryaligned_alloc(alignment, size);
        expect(ptr != NULL && zmalloc_size(ptr) == bytes, "ztryaligned_alloc", size);
        zfree(ptr);
        limit_to(0);
    }
}

static void test_large_alignment_stays_within(void **state)
{
    (void) state;
    for (size_t alignment = 16; alignment <= 1 << 20; alignment *= 2) {
        for (size_t size = 1; size < 100000; size = size * 7 + 3) {
            void *ptr = zaligned_alloc(alignment, size);
            size_t bytes = zmalloc_size(ptr);
            zfree(ptr);
            size_t used = zmalloc_used_memory();
            check_room_for_aligned(alignment, size, bytes);
            for (size_t limit = used + bytes / 2 + 1; limit <= used + bytes + 4096; limit += bytes / 5 + 1) {
                limit_to(limit);
                ptr = ztryaligned_alloc(alignment, size);
                assert_true(zmalloc_used_memory() <= limit);
                zfree(ptr);
                assert_int_equal(zmalloc_used_memory(), used);
            }
            limit_to(0);
        }
    }
    assert_int_equal(atomic_load(&yields), 0);
}

static void test_realloc_leaves_its_block_alone(void **state)
{
    (void) state;
    for (size_t size = 10; size < 1 << 20; size = size * 3 + 1) {
        unsigned char *ptr = zmalloc(size);
        memset(ptr, 'k', size);
        size_t used = zmalloc_used_memory();
        limit_to(used + size);
        size_t usable = 1;
        handler_calls = 0;
        assert_null(ztryrealloc(ptr, 3 * size + 5000));
        assert_null(ztryrealloc_usable(ptr, 3 * size + 5000, &usable));
        assert_int_equal(usable, 0);
        assert_int_equal(handler_calls, 0);
        assert_null(zrealloc(ptr, 3 * size + 5000));
        assert_int_equal(handler_calls, 1);
        assert_int_equal(handler_size, 3 * size + 5000);
        assert_int_equal(zmalloc_used_memory(), used);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(ptr[i], 'k');
        }
        zfree(ptr);
        limit_to(0);
    }
    assert_int_equal(atomic_load(&yields), 0);
}

/* Only what the block grows by needs room. */
static void test_realloc_claims_its_growth_alone(void **state)
{
    (void) state;
    for (size_t size = 100000; size < 4 << 20; size *= 2) {
        void *ptr = zmalloc(size);
        limit_to(zmalloc_used_memory() + size / 2 + 16384);
        void *grown = ztryrealloc(ptr, size + size / 4);
        assert_non_null(grown);
        assert_true(zmalloc_used_memory() <= zmalloc_limit());
        zfree(grown);
        limit_to(0);
    }
    assert_int_equal(atomic_load(&yields), 0);
}

static void test_shrinking_and_freeing_always_work(void **state)
{
    (void) state;
    for (size_t alignment = 16; alignment <= 4096; alignment *= 16) {
        unsigned char *a = zaligned_alloc(alignment, 100000);
        void *b = zmalloc(5000);
        a[0] = 'a';
        a[99] = 'z';
        size_t used = zmalloc_used_memory();
        limit_to(1);
        assert_null(ztrymalloc(1));
        a = ztryrealloc(a, 50000);
        assert_non_null(a);
        a = zrealloc(a, 100);
        assert_non_null(a);
        assert_true(a[0] == 'a' && a[99] == 'z');
        assert_true(zmalloc_used_memory() < used - 90000);
        assert_null(ztrymalloc(1));
        zfree(b);
        limit_to(zmalloc_used_memory() + 10000);
        b = ztrymalloc(100);
        assert_non_null(b);
        zfree(a);
        zfree(b);
        limit_to(0);
        assert_int_equal(handler_calls, 0);
    }
}

static void test_sizes_that_no_allocator_serves(void **state)
{
    (void) state;
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4096, (size_t) PTRDIFF_MAX + 1};
    static const size_t limits[] = {1, 1 << 20, PTRDIFF_MAX, SIZE_MAX - 1, SIZE_MAX};
    for (size_t i = 0; i < LENGTH(limits); i++) {
        assert_int_equal(zmalloc_set_limit(limits[i]), 0);
        for (size_t j = 0; j < LENGTH(sizes); j++) {
            assert_null(ztrymalloc(sizes[j]));
            assert_null(ztryaligned_alloc(64, sizes[j]));
            void *ptr = zmalloc(0);
            assert_null(ztryrealloc(ptr, sizes[j]));
            zfree(ptr);
        }
    }
}

/* With 32 bits such a block may be had, and twice its size is more than pointers reach. */
static void test_realloc_to_the_largest_sizes_is_refused(void **state)
{
    (void) state;
    void *ptr = zmalloc(1000);
    limit_to(10 << 20);
    for (size_t below = 200; below < 8000; below += 1300) {
        assert_null(ztryrealloc(ptr, PTRDIFF_MAX - below));
    }
    limit_to(0);
    zfree(ptr);
}

/* The quota that a thread has and doesn't use is there for others. */

static pthread_barrier_t barrier;

/* With its first block a thread gets a slot, with its second a quota. */
static void *take_a_little(void *argument)
{
    void **block = argument;
    zfree(ztrymalloc(10));
    *block = ztrymalloc(10);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    zfree(*block);
    return NULL;
}

static void test_idle_quota_is_taken_back(void **state)
{
    (void) state;
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    void *blocks[THREADS];
    size_t used = zmalloc_used_memory();
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    limit_to(used + (16 << 20));
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_a_little, &blocks[i]), 0);
    }
    pthread_barrier_wait(&barrier);
    size_t count = 0;
    void **mine = malloc((1 << 20) * sizeof(*mine));
    while ((mine[count] = ztrymalloc(1000)) != NULL) {
        count++;
    }
    assert_true(zmalloc_used_memory() <= zmalloc_limit());
    assert_true(zmalloc_used_memory() + 2000 > zmalloc_limit());
    while (count > 0) {
        zfree(mine[--count]);
    }
    free(mine);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < THREADS; i++) {
        assert_non_null(blocks[i]);
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&barrier);
    assert_int_equal(zmalloc_used_memory(), used);
}

static void test_child_has_the_limit_too(void **state)
{
    (void) state;
    limit_to(zmalloc_used_memory() + 100000);
    pid_t child = fork();
    if (child == 0) {
        void *ptr = ztrymalloc(50000);
        bool good = ptr != NULL && ztrymalloc(60000) == NULL;
        zfree(ptr);
        _exit(good && zmalloc_set_limit(0) == 0 && ztrymalloc(200000) != NULL ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_null(ztrymalloc(200000));
}

static const struct CMUnitTest tests[] = {
    without_waiting(test_every_way_stays_within),
    without_waiting(test_what_a_block_has_beyond_its_size_counts),
    without_waiting(test_large_alignment_stays_within),
    without_waiting(test_realloc_leaves_its_block_alone),
    without_waiting(test_realloc_claims_its_growth_alone),
    without_waiting(test_shrinking_and_freeing_always_work),
    without_waiting(test_sizes_that_no_allocator_serves),
    without_waiting(test_realloc_to_the_largest_sizes_is_refused),
    without_waiting(test_idle_quota_is_taken_back),
    without_waiting(test_child_has_the_limit_too),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
