/* SPDX-License-Identifier: BSD-3-Clause */
/* How soon the allocator gives unused pages back, and whether by a thread of its own. */
#include "children.h"

#include <limits.h>

static void test_decay(void **state)
{
    (void) state;
    bool decays = allocator_is("jemalloc");
    long dirty = -7;
    long muzzy = -7;
    assert_int_equal(zmalloc_decay(&dirty, &muzzy), decays ? 0 : -ENOTSUP);
    assert_int_equal(zmalloc_decay(NULL, &muzzy), -EINVAL);
    assert_int_equal(zmalloc_decay(&dirty, NULL), -EINVAL);
    if (!decays) {
        assert_int_equal(dirty, -1);
        assert_int_equal(muzzy, -1);
        assert_int_equal(zmalloc_set_decay(1, 1), -ENOTSUP);
        assert_int_equal(zmalloc_set_decay(-2, 1), -EINVAL);
        assert_int_equal(zmalloc_set_decay(1, -2), -EINVAL);
        return;
    }
    long old_dirty = dirty;
    long old_muzzy = muzzy;
    assert_true(old_dirty >= -1 && old_muzzy >= -1);
    const long long longest = 18446744072000;
    const long most = (long) (longest < LONG_MAX ? longest : LONG_MAX);
    const long times[] = {0, 1, 10000, 123456, -1, most};
    for (size_t i = 0; i < LENGTH(times); i++) {
        assert_int_equal(zmalloc_set_decay(times[i], times[LENGTH(times) - 1 - i]), 0);
        assert_int_equal(zmalloc_decay(&dirty, &muzzy), 0);
        assert_int_equal(dirty, times[i]);
        assert_int_equal(muzzy, times[LENGTH(times) - 1 - i]);
    }
    assert_int_equal(zmalloc_set_decay(500, 600), 0);
    const long wrong[] = {-2, LONG_MIN, (long) (longest * 2), LONG_MAX};
    const size_t wrongs = longest < LONG_MAX ? LENGTH(wrong) : 2; /* a long of 32 bits can't be too long */
    for (size_t i = 0; i < wrongs; i++) {
        assert_int_equal(zmalloc_set_decay(wrong[i], 7), -EINVAL);
        assert_int_equal(zmalloc_set_decay(7, wrong[i]), -EINVAL);
        assert_int_equal(zmalloc_decay(&dirty, &muzzy), 0);
        assert_int_equal(dirty, 500);
        assert_int_equal(muzzy, 600);
    }
    assert_int_equal(zmalloc_set_decay(old_dirty, old_muzzy), 0);
}

/* With no time at all, pages go when the last block in them does; with all the time there is, they stay. With any
 * time between, what has merged to 8 MiB or more goes at once. */
static void test_decay_is_obeyed(void **state)
{
    (void) state;
    enum { MINUTE = 60000 };
    const struct {
        long milliseconds;
        size_t size;
        bool goes;
    } cases[] = {{-1, 32 * MIB, false}, {0, 32 * MIB, true}, {MINUTE, 32 * MIB, true}, {MINUTE, 4 * MIB, false}};
    long dirty;
    long muzzy;
    if (zmalloc_decay(&dirty, &muzzy) != 0) {
        print_message("skipped: this allocator does not decay\n");
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = cases[i].size;
        assert_int_equal(zmalloc_purge(NULL), 0);
        assert_int_equal(zmalloc_set_decay(cases[i].milliseconds, cases[i].milliseconds), 0);
        void *block = zmalloc(size);
        memset(block, 1, size);
        size_t full = zmalloc_get_rss();
        zfree(block);
        size_t less = full - zmalloc_get_rss();
        expect(cases[i].goes ? less > size / 10 * 9 : less + size / 2 < size, "given back", less);
    }
    assert_int_equal(zmalloc_set_decay(dirty, muzzy), 0);
}

static void test_background_thread_is_told(void **state)
{
    (void) state;
    bool has_one = allocator_is("jemalloc");
    int expected = has_one ? 0 : -ENOTSUP;
    int enabled = -1;
    assert_int_equal(zmalloc_background_thread_enabled(NULL), -EINVAL);
    assert_int_equal(zmalloc_background_thread_enabled(&enabled), expected);
    assert_int_equal(enabled, 0);
    static const int wanted[] = {1, 1, 0, 7, 0, 0, -1, 0};
    for (size_t i = 0; i < LENGTH(wanted); i++) {
        assert_int_equal(zmalloc_background_thread(wanted[i]), expected);
        enabled = -1;
        assert_int_equal(zmalloc_background_thread_enabled(&enabled), expected);
        assert_int_equal(enabled, has_one && wanted[i] != 0);
    }
}

static const struct CMUnitTest tests[] = {
    tidy(test_decay),
    tidy(test_decay_is_obeyed),
    tidy(test_background_thread_is_told),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
