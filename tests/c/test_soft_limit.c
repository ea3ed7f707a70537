/* SPDX-License-Identifier: BSD-3-Clause */
/* The soft limit on the bytes in use: when its handler is called, and what the handler may do. */
#include "children.h"
#include "limited.h"

#include <errno.h>
#include <pthread.h>

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

static struct pressure inherited;

static void pass_inherited_limit(void)
{
    for (size_t round = 1; round <= 2; round++) {
        zfree(zmalloc(200000));
        check(inherited.calls == round);
        zfree(zmalloc(10)); /* memory is low, and seen to be */
    }
}

static void test_child_of_fork_has_the_soft_limit(void **state)
{
    (void) state;
    inherited = (struct pressure){0};
    size_t soft = zmalloc_used_memory() + 100000;
    assert_int_equal(zmalloc_set_soft_limit(soft, 0, note_pressure, &inherited), 0);
    run_in_child(pass_inherited_limit);
    assert_int_equal(inherited.calls, 0);
    pass_inherited_limit();
}

static const struct CMUnitTest tests[] = {
    limited(test_soft_limit_calls_once_until_memory_is_low_again),
    limited(test_soft_limit_is_seen_by_every_way),
    limited(test_pressure_handler_frees_allocates_and_sets_limits),
    limited(test_soft_limit_below_what_is_in_use_and_arguments),
    limited(test_hard_above_soft),
    limited(test_child_of_fork_has_the_soft_limit),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
