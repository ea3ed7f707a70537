/* SPDX-License-Identifier: BSD-3-Clause */
/* The visitor of mappings: it sees this process, ends the walk, allocates and asks in the midst of it. */
#include "mapping_copies.h"

#include <fcntl.h>

static struct process ours;

/* This process, too, without a process number, and by its own. */
static void test_this_process(void **state)
{
    (void) state;
    for (int by_number = 0; by_number < 2; by_number++) {
        ours.count = 0;
        assert_int_equal(zmalloc_mappings(by_number ? getpid() : -1, collect, &ours), 0);
        bool found = false;
        for (size_t i = 0; i < ours.count; i++) {
            const struct mapping *mapping = &ours.mappings[i];
            assert_true(mapping->begin < mapping->end);
            assert_true(i == 0 || ours.mappings[i - 1].end <= mapping->begin);
            found = found || (mapping->begin <= (uintptr_t) &ours && (uintptr_t) &ours < mapping->end);
        }
        assert_true(found);
    }
}

struct stopper {
    int visits;
    int stop_at;
    int result;
};

static int stop_at(const struct zmalloc_mapping *mapping, void *context)
{
    (void) mapping;
    struct stopper *stopper = context;
    stopper->visits++;
    return stopper->visits == stopper->stop_at ? stopper->result : 0;
}

static void test_visitor_that_has_seen_enough(void **state)
{
    (void) state;
    static const int results[] = {1, 7, -7, -1, INT32_MAX, INT32_MIN, -ENOENT, -ESRCH};
    ours.count = 0;
    assert_int_equal(zmalloc_mappings(-1, collect, &ours), 0);
    int last = (int) ours.count;
    for (size_t i = 0; i < LENGTH(results); i++) {
        const int stops[] = {1, 2, 5, last - 1, last};
        for (size_t j = 0; j < LENGTH(stops); j++) {
            struct stopper stopper = {0, stops[j], results[i]};
            assert_int_equal(zmalloc_mappings(-1, stop_at, &stopper), results[i]);
            assert_int_equal(stopper.visits, stops[j]);
        }
    }
}

struct hoard {
    size_t visits;
    void *blocks[8];
};

/* It changes the very mappings that are being read. */
static int allocate(const struct zmalloc_mapping *mapping, void *context)
{
    struct hoard *hoard = context;
    if (mapping->begin >= mapping->end || mapping->count == 0) {
        return -1;
    }
    void **block = &hoard->blocks[hoard->visits++ % LENGTH(hoard->blocks)];
    zfree(*block);
    *block = zmalloc(hoard->visits % 3 == 0 ? 4 * MIB : 100);
    size_t bytes;
    return zmalloc_smap_bytes_by_field("Rss", -1, &bytes);
}

static void test_visitor_that_allocates_and_asks(void **state)
{
    (void) state;
    struct hoard hoard = {0};
    assert_int_equal(zmalloc_mappings(-1, allocate, &hoard), 0);
    assert_true(hoard.visits > 5);
    for (size_t i = 0; i < LENGTH(hoard.blocks); i++) {
        zfree(hoard.blocks[i]);
    }
}

/* How many descriptors another program, started now, would have beside those that were there before. */
static int count_inherited(const struct zmalloc_mapping *mapping, void *context)
{
    (void) mapping;
    size_t *counts = context;
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        counts[0] += flags >= 0 && (flags & FD_CLOEXEC) != 0;
        counts[1] += flags >= 0 && (flags & FD_CLOEXEC) == 0;
    }
    return 1;
}

static void test_nothing_is_inherited(void **state)
{
    (void) state;
    size_t before[2] = {0};
    size_t during[2] = {0};
    count_inherited(NULL, before);
    assert_int_equal(zmalloc_mappings(-1, count_inherited, during), 1);
    assert_int_equal(during[0], before[0] + 2); /* the process's folder, and its file in there */
    assert_int_equal(during[1], before[1]);
}

static const struct CMUnitTest tests[] = {
    tidy(test_this_process),
    tidy(test_visitor_that_has_seen_enough),
    tidy(test_visitor_that_allocates_and_asks),
    tidy(test_nothing_is_inherited),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
