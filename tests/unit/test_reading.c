/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a reader chooses among sums that were taken while others freed: the best of a few passes. It has the source in
 * it, and what is summed is written down here.
 */
#include "account/roster.h"

static size_t next_sum(const struct zm_roster *roster, bool freed);
#define zm_roster_sum next_sum
#define start start_account
#include "account/account.c"
#undef start
#undef zm_roster_sum

#include "../c/threads.h"

/* What others had freed and allocated, one after the other: the reader looks at them in turn. */
static const size_t *sums;
static size_t looks;

static size_t next_sum(const struct zm_roster *roster, bool freed)
{
    check(roster->used_before == 100);
    check(freed == (looks % 2 == 0)); /* freed, then allocated and freed again, as often as need be */
    return sums[looks++];
}

static void check_reading(const size_t *these, size_t count, size_t used, size_t error)
{
    static const struct zm_roster roster = {.used_before = 100};
    sums = these;
    looks = 0;
    struct zm_reading reading = sum_used(&roster);
    check(looks == count && reading.used == used && reading.error == error);
}

#define CHECK_READING(used, error, ...)                                                                              \
    check_reading((const size_t[]){__VA_ARGS__}, sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t), used, error)

static void nothing_was_freed_meanwhile(void)
{
    CHECK_READING(140, 0, 10, 50, 10);
    CHECK_READING(100, 0, 7, 7, 7);
}

static void little_was_freed_meanwhile(void)
{
    CHECK_READING(140, 4096, 10, 50, 10 + 4096);
}

/* Each pass begins where the one before it ended. */
static void the_second_pass_is_better(void)
{
    CHECK_READING(100 + 20000 - 6000, 100, 0, 10000, 6000, 20000, 6100);
    CHECK_READING(100 + 9000 - 5000, 4096, 0, 10000, 5000, 9000, 9096);
}

static void of_many_passes_the_best_is_taken(void)
{
    CHECK_READING(100 + 90000 - 9000, 5000, 0, 80000, 9000, 90000, 14000, 100000, 21000, 110000, 28000, 120000, 35000,
                  130000, 42000, 140000, 49000, 150000, 56000);
    CHECK_READING(100 + 150000 - 49000, 4097, 0, 80000, 7000, 90000, 14000, 100000, 21000, 110000, 28000, 120000,
                  35000, 130000, 42000, 140000, 49000, 150000, 53097);
}

/* An allocator may tell first what was freed, and then what was allocated before that. */
static void a_difference_is_not_below_zero(void)
{
    if (ZM_COUNTED_BY_ALLOCATOR || SIZE_MAX > UINT32_MAX) {
        CHECK_READING(0, 0, 1000, 899, 1000);
        CHECK_READING(0, 0, 1000, 0, 1000);
    }
    CHECK_READING(1, 0, 1000, 901, 1000);
    CHECK_READING(0, 0, 1000, 900, 1000);
}

/* Without a roster, slot by slot: what is counted elsewhere is in these sums. */
static void without_a_roster_it_is_the_same(void)
{
    void *block = zmalloc(1000);
    size_t size = zmalloc_size(block);
    struct zm_reading reading = sum_used(NULL);
    check(reading.used == size && reading.error == 0);
    zfree(block);
    check(sum_used(NULL).used == 0);
}

int main(void)
{
    nothing_was_freed_meanwhile();
    little_was_freed_meanwhile();
    the_second_pass_is_better();
    of_many_passes_the_best_is_taken();
    a_difference_is_not_below_zero();
    without_a_roster_it_is_the_same();
    return 0;
}
