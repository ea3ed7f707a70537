/* SPDX-License-Identifier: BSD-3-Clause */
/* The limits on the bytes in use, by one thread mostly: to the byte, and what is called when. */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZES_FROM = 2, SIZES_TO = 300000 };

static size_t handler_calls;
static size_t handler_size;

static void take_note(size_t size)
{
    handler_calls++;
    handler_size = size;
}

/* In the C library's place: whoever waits for other threads comes by here, and one thread has none to wait for. */
static _Atomic size_t yields;

int sched_yield(void)
{
    atomic_fetch_add(&yields, 1);
    return 0;
}

static int set_up(void **state)
{
    (void) state;
    handler_calls = 0;
    atomic_store(&yields, 0);
    zmalloc_set_oom_handler(take_note);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    zmalloc_set_oom_handler(NULL);
    return zmalloc_set_limit(0) != 0 || zmalloc_set_soft_limit(0, 0, NULL, NULL) != 0;
}

static void limit_to(size_t bytes)
{
    assert_int_equal(zmalloc_set_limit(bytes), 0);
    assert_int_equal(zmalloc_limit(), bytes);
}

/* libc's blocks of one size may differ: by what is too little for a block of its own, or have whole pages to
 * themselves. */
static size_t variation(size_t size)
{
    return strncmp(ZMALLOC_LIB, "libc", 4) != 0 ? 0 : size < 64 << 10 ? 32 : 8 << 10;
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

static void test_large_alignment_stays_within(void **state)
{
    (void) state;
    for (size_t alignment = 16; alignment <= 1 << 20; alignment *= 2) {
        for (size_t size = 1; size < 100000; size = size * 7 + 3) {
            void *ptr = zaligned_alloc(alignment, size);
            size_t bytes = zmalloc_size(ptr);
            zfree(ptr);
            size_t used = zmalloc_used_memory();
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

/* What a thread took and doesn't use is there for others. */

static pthread_barrier_t barrier;

/* With its first block a thread gets a slot, with its second a share. */
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

static void test_what_lies_idle_is_taken_back(void **state)
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

/* The soft limit. */

struct pressure {
    size_t calls;
    size_t used;
    pthread_t thread;
    void *block;
    size_t then_limit;
};

static void note_pressure(size_t used, void *context)
{
    struct pressure *pressure = context;
    pressure->calls++;
    pressure->used = used;
    pressure->thread = pthread_self();
    if (pressure->block != NULL) {
        zfree(pressure->block);
        pressure->block = NULL;
        zfree(zmalloc(5 << 20)); /* passes the limit again, for a moment */
    }
    if (pressure->then_limit != 0) {
        assert_int_equal(zmalloc_set_soft_limit(pressure->then_limit, 0, note_pressure, context), 0);
    }
}

static void test_soft_limit_calls_once_until_memory_is_low_again(void **state)
{
    (void) state;
    enum { BLOCKS = 400, SIZE = 10000 };
    void *blocks[BLOCKS];
    struct pressure pressure = {0};
    size_t used = zmalloc_used_memory();
    size_t soft = used + (2 << 20);
    assert_int_equal(zmalloc_set_soft_limit(soft, 1 << 20, note_pressure, &pressure), 0);
    assert_int_equal(zmalloc_soft_limit(), soft);
    for (size_t round = 1; round <= 3; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            size_t before = zmalloc_used_memory();
            blocks[i] = zmalloc(SIZE);
            assert_int_equal(pressure.calls, zmalloc_used_memory() > soft ? round : round - 1);
            if (before <= soft && zmalloc_used_memory() > soft) {
                assert_int_equal(pressure.used, zmalloc_used_memory());
                assert_true(pthread_equal(pressure.thread, pthread_self()));
            }
        }
        /* Not low enough, and high again. */
        for (int i = 0; i < BLOCKS / 4; i++) {
            zfree(blocks[i]);
        }
        for (int i = 0; i < BLOCKS / 4; i++) {
            blocks[i] = zmalloc(SIZE);
        }
        assert_int_equal(pressure.calls, round);
        for (int i = 0; i < BLOCKS; i++) {
            zfree(blocks[i]);
        }
    }
    void *at_once = zmalloc(4 << 20); /* from low to high in one step */
    assert_int_equal(pressure.calls, 4);
    zfree(at_once);
    assert_int_equal(handler_calls, 0);
    assert_int_equal(zmalloc_used_memory(), used);
}

static void test_soft_limit_is_seen_by_every_way(void **state)
{
    (void) state;
    for (size_t i = 0; i < LENGTH(ways); i++) {
        struct pressure pressure = {0};
        size_t usable;
        size_t soft = zmalloc_used_memory() + 50000;
        assert_int_equal(zmalloc_set_soft_limit(soft, 0, note_pressure, &pressure), 0);
        void *small = ways[i].get(30000, &usable);
        assert_int_equal(pressure.calls, 0);
        void *large = ways[i].get(30000, &usable);
        assert_int_equal(pressure.calls, 1);
        zfree(small);
        zfree(large);
    }
    void *ptr = zmalloc(100);
    struct pressure pressure = {0};
    assert_int_equal(zmalloc_set_soft_limit(zmalloc_used_memory() + 50000, 0, note_pressure, &pressure), 0);
    ptr = zrealloc(ptr, 200000);
    assert_int_equal(pressure.calls, 1);
    zfree(ptr);
}

static void test_pressure_handler_frees_allocates_and_sets_limits(void **state)
{
    (void) state;
    struct pressure pressure = {.block = zmalloc(1 << 20)};
    size_t soft = zmalloc_used_memory() + 100000;
    pressure.then_limit = soft + (8 << 20);
    assert_int_equal(zmalloc_set_soft_limit(soft, 1000, note_pressure, &pressure), 0);
    void *ptr = zmalloc(200000);
    assert_int_equal(pressure.calls, 1);
    assert_int_equal(zmalloc_soft_limit(), pressure.then_limit);
    void *more = zmalloc(9 << 20);
    assert_int_equal(pressure.calls, 2);
    zfree(more);
    zfree(ptr);
}

static void test_soft_limit_below_what_is_in_use_and_arguments(void **state)
{
    (void) state;
    struct pressure pressure = {0};
    void *before = zmalloc(10);
    assert_int_equal(zmalloc_set_soft_limit(1, 0, note_pressure, &pressure), 0);
    zfree(zmalloc(10));
    zfree(zmalloc(10));
    assert_int_equal(pressure.calls, 1);
    assert_int_equal(zmalloc_set_soft_limit(100, 0, NULL, &pressure), -EINVAL);
    assert_int_equal(zmalloc_set_soft_limit(100, 101, note_pressure, &pressure), -EINVAL);
    assert_int_equal(zmalloc_soft_limit(), 1);
    assert_int_equal(zmalloc_set_soft_limit(0, 0, NULL, NULL), 0);
    assert_int_equal(zmalloc_soft_limit(), 0);
    zfree(zmalloc(1 << 20));
    assert_int_equal(pressure.calls, 1);
    zfree(before);
}

static void test_hard_above_soft(void **state)
{
    (void) state;
    struct pressure pressure = {0};
    size_t used = zmalloc_used_memory();
    assert_int_equal(zmalloc_set_soft_limit(used + 100000, 0, note_pressure, &pressure), 0);
    limit_to(used + 200000);
    void *ptr = zmalloc(150000);
    assert_non_null(ptr);
    assert_int_equal(pressure.calls, 1);
    assert_null(ztrymalloc(100000));
    assert_int_equal(handler_calls, 0);
    zfree(ptr);
}

/* The handler that answers. */

struct store {
    void *blocks[10];
    size_t count;
    size_t calls;
    bool lies;
};

static int give_one_up(size_t size, void *context)
{
    struct store *store = context;
    store->calls++;
    handler_size = size;
    if (store->count > 0) {
        zfree(store->blocks[--store->count]);
        return 1;
    }
    return store->lies;
}

static void stock(struct store *store)
{
    for (store->count = 0; store->count < LENGTH(store->blocks); store->count++) {
        store->blocks[store->count] = zmalloc(100000);
    }
}

static void test_handler_that_frees_is_asked_until_it_is_enough(void **state)
{
    (void) state;
    for (size_t i = 0; i < LENGTH(ways); i++) {
        if (!ways[i].calls_handler) {
            continue;
        }
        struct store store = {0};
        size_t usable = 0;
        stock(&store);
        limit_to(zmalloc_used_memory() + 1000);
        assert_int_equal(zmalloc_set_oom_retry_handler(give_one_up, &store), 0);
        void *ptr = ways[i].get(350000, &usable);
        assert_non_null(ptr);
        assert_true(usable >= 350000);
        assert_true(store.calls >= 3 && store.calls <= 5);
        assert_int_equal(handler_size, 350000);
        assert_null(ways[i].get(2 << 20, &usable));
        assert_int_equal(usable, 0);
        assert_int_equal(store.count, 0);
        zfree(ptr);
        limit_to(0);
    }
}

static void test_handler_that_only_says_so_is_not_asked_for_ever(void **state)
{
    (void) state;
    struct store store = {.lies = true};
    limit_to(1);
    assert_int_equal(zmalloc_set_oom_retry_handler(give_one_up, &store), 0);
    for (size_t i = 0; i < LENGTH(ways); i++) {
        size_t usable;
        store.calls = 0;
        assert_null(ways[i].get(100, &usable));
        assert_int_equal(store.calls, ways[i].calls_handler ? ZMALLOC_MOST_RETRIES + 1 : 0);
    }
    store.calls = ZMALLOC_MOST_RETRIES + 1;
    volatile size_t many = SIZE_MAX;
    assert_null(zcalloc_num(many, 2));
    assert_int_equal(handler_size, SIZE_MAX);
    assert_null(ztrymalloc(100));
    assert_int_equal(store.calls, 2 * (ZMALLOC_MOST_RETRIES + 1));
}

static void test_either_handler_takes_the_others_place(void **state)
{
    (void) state;
    struct store store = {0};
    limit_to(1);
    assert_int_equal(zmalloc_set_oom_retry_handler(give_one_up, &store), 0);
    assert_null(zmalloc(100));
    assert_true(store.calls == 1 && handler_calls == 0);
    zmalloc_set_oom_handler(take_note);
    assert_null(zmalloc(100));
    assert_true(store.calls == 1 && handler_calls == 1);
    for (size_t i = 0; i < 1000; i++) { /* more contexts than a piece of hooks has room for */
        assert_int_equal(zmalloc_set_oom_retry_handler(give_one_up, &store.blocks[i % 3] + i), 0);
    }
    assert_int_equal(zmalloc_set_oom_retry_handler(give_one_up, &store), 0);
    assert_null(zmalloc(100));
    assert_int_equal(store.calls, 2);
    assert_int_equal(zmalloc_set_oom_retry_handler(NULL, NULL), 0);
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        zfree(zmalloc(100));
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
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

#define limited(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    limited(test_every_way_stays_within),
    limited(test_what_a_block_has_beyond_its_size_counts),
    limited(test_large_alignment_stays_within),
    limited(test_realloc_leaves_its_block_alone),
    limited(test_realloc_claims_its_growth_alone),
    limited(test_shrinking_and_freeing_always_work),
    limited(test_sizes_that_no_allocator_serves),
    limited(test_realloc_to_the_largest_sizes_is_refused),
    limited(test_what_lies_idle_is_taken_back),
    limited(test_soft_limit_calls_once_until_memory_is_low_again),
    limited(test_soft_limit_is_seen_by_every_way),
    limited(test_pressure_handler_frees_allocates_and_sets_limits),
    limited(test_soft_limit_below_what_is_in_use_and_arguments),
    limited(test_hard_above_soft),
    limited(test_handler_that_frees_is_asked_until_it_is_enough),
    limited(test_handler_that_only_says_so_is_not_asked_for_ever),
    limited(test_either_handler_takes_the_others_place),
    limited(test_child_has_the_limit_too),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
