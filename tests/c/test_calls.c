/* SPDX-License-Identifier: BSD-3-Clause */
/* What every call that makes, resizes or frees a block promises, for sizes from 0 to the largest. */
#include "support.h"

enum { EACH_SIZE_UP_TO = 4200, LARGEST_POWER = 24 };

/* Calls check for each small size, and for the powers of two and their neighbours. */
static void for_each_size(void (*check)(const struct way *way, size_t size))
{
    for (size_t w = 0; w < LENGTH(ways); w++) {
        for (size_t size = 0; size <= EACH_SIZE_UP_TO; size++) {
            check(&ways[w], size);
        }
        for (size_t power = (size_t) 1 << 13; power <= (size_t) 1 << LARGEST_POWER; power *= 2) {
            check(&ways[w], power - 1);
            check(&ways[w], power);
            check(&ways[w], power + 1);
        }
    }
}

static void check_block(const struct way *way, size_t size)
{
    size_t before = zmalloc_used_memory();
    size_t usable = SIZE_MAX;
    void *ptr = way->get(size, &usable);

    expect(ptr != NULL, way->name, size);
    expect(aligned(ptr), way->name, size);
    expect(usable >= size && usable != SIZE_MAX, way->name, size);
    expect(usable == zmalloc_usable_size(ptr), way->name, size);
    expect(usable + PREFIX_SIZE == zmalloc_size(ptr), way->name, size);
    expect(zmalloc_used_memory() == before + zmalloc_size(ptr), way->name, size);
    if (usable > 0) {
        ((char *) ptr)[0] = 'a';
        ((char *) ptr)[usable - 1] = 'z';
    }

    size_t freed = SIZE_MAX;
    zfree_usable(ptr, &freed);
    expect(freed == usable, way->name, size);
    expect(zmalloc_used_memory() == before, way->name, size);
}

static void test_every_size(void **state)
{
    (void) state;
    for_each_size(check_block);
    assert_int_equal(oom.calls, 0);
}

/* Dirty memory first, so that zeroes are no accident. */
static void check_zeroed(const struct way *way, size_t size)
{
    if (!way->zeroed || size > (size_t) 1 << 20) {
        return;
    }
    void *dirty[4];
    for (size_t i = 0; i < LENGTH(dirty); i++) {
        dirty[i] = zmalloc(size);
        fill(dirty[i], 0, size, (unsigned) i);
    }
    for (size_t i = 0; i < LENGTH(dirty); i++) {
        zfree(dirty[i]);
    }
    size_t usable;
    void *ptr = way->get(size, &usable);
    expect(all_zero(ptr, size), way->name, size);
    zfree(ptr);
}

static void test_zeroed(void **state)
{
    (void) state;
    for_each_size(check_zeroed);
}

static const struct CMUnitTest tests[] = {
    balanced(test_every_size),
    balanced(test_zeroed),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
