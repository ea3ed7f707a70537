/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a reader chooses among sums that were taken while others freed, and when it can do with less: it has the source
 * in it, and what is summed, or comes in between, is written down here.
 */
#include "account/roster.h"

static size_t next_sum(const struct zm_roster *roster, bool freed);
static size_t next_load(const _Atomic size_t *word);
#define zm_roster_sum next_sum
#define zm_plain_load next_load
#define start start_account
#include "account/account.c"
#undef start
#undef zm_roster_sum
#undef zm_plain_load

#include "../c/threads.h"

/* What others had freed and allocated, one after the other: the reader looks at them in turn. */
static const size_t *sums;
static size_t looks;
static size_t first_looks; /* of a reader that then begins again */
static size_t loads;

/* What comes before one of the looks, or of the loads of single counters. */
static void (*come_between)(void);
static size_t before_look;
static size_t before_load;

static size_t next_load(const _Atomic size_t *word)
{
    if (++loads == before_load) {
        come_between();
    }
    return zm_plain_load(word);
}

static size_t next_sum(const struct zm_roster *roster, bool freed)
{
    if (sums == NULL) {
        return zm_roster_sum(roster, freed);
    }
    if (looks + 1 == before_look) {
        come_between();
    }
    size_t place = looks < first_looks ? looks : looks - first_looks;
    check(freed == (place % 2 == 0)); /* freed, then allocated and freed again, as often as need be */
    return sums[looks++];
}

static void check_reading(const size_t *these, size_t count, size_t used, size_t error)
{
    static const struct zm_roster roster = {.used_before = 100};
    sums = these;
    looks = 0;
    struct zm_reading reading = sum_used(&roster);
    sums = NULL;
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

static struct zm_reading read_sums(const size_t *these)
{
    sums = these;
    looks = 0;
    first_looks = 3;
    struct zm_reading reading = sum_by_roster();
    sums = NULL;
    return reading;
}

static void mostly_one_pass_is_exact(void)
{
    struct zm_roster roster;
    zfree(zmalloc(1000));
    atomic_fetch_add(&shared_allocated, 50);
    atomic_fetch_add(&shared_freed, 30);
    check(zm_roster_get(&roster));
    struct zm_reading reading = read_sums((const size_t[]){10, 70, 10});
    check(looks == 3 && reading.used == roster.used_before + 50 + 70 - 30 - 10 && reading.error == 0);
    reading = read_sums((const size_t[]){10, 70, 12, 12, 80, 12});
    check(looks == 6 && reading.used == roster.used_before + 50 + 80 - 30 - 12 && reading.error == 0);
    atomic_fetch_sub(&shared_allocated, 50);
    atomic_fetch_sub(&shared_freed, 30);
}

/* Nor is what was summed by one that does not hold any more. */
static void without_a_roster_none_is_summed(void)
{
    struct zm_counters *counters = &zm_slots_own()->counters;
    void *block = zmalloc(1000);
    zm_counters_set_steady(counters, false);
    zm_child_new_stamp();
    struct zm_reading reading = read_sums((const size_t[]){10, 50, 10});
    check(looks == 0 && reading.used == zmalloc_size(block));
    zm_counters_set_steady(counters, true);
    come_between = zm_child_new_stamp;
    before_look = 3;
    reading = read_sums((const size_t[]){10, 50, 10});
    before_look = 0;
    check(looks == 3 && reading.used == zmalloc_size(block));
    zfree(block);
}

static void free_one_more(void)
{
    zm_account_freed_when_not_live(1);
}

static void *allocate_and_end(void *block)
{
    *(void **) block = zmalloc(300);
    return NULL;
}

static void *read_and_note_nothing(void *argument)
{
    check(zmalloc_used_memory() > 0 && zm_self.alone_stamp == ZM_NEVER_A_STAMP);
    return argument;
}

/* The only thread notes that it is, by its first reading; then it looks at its own counters alone. */
static void one_thread_reads_its_own_counters(void)
{
    size_t used;
    void *block = zmalloc(1000);
    void *of_ended;
    join(start(allocate_and_end, &of_ended));
    join(start(read_and_note_nothing, NULL));
    size_t bytes = zmalloc_size(block) + zmalloc_size(of_ended);
    zm_child_new_stamp();
    check(!read_alone(&used));
    zm_self.notes = true; /* this would be a signal handler */
    check(zmalloc_used_memory() == bytes && zm_self.alone_stamp != zm_child_stamp());
    zm_self.notes = false;
    check(zmalloc_used_memory() == bytes);
    check(zm_self.alone_stamp == zm_child_stamp() && !zm_self.notes);
    loads = 0;
    check(read_alone(&used) && used == bytes && loads == 6);
    zm_account_allocated_when_not_live(3);
    check(read_alone(&used) && used == bytes + 3);
    come_between = free_one_more;
    for (size_t i = 2; i <= 6; i++) {
        loads = 0;
        before_load = i;
        check(read_alone(&used) == (i == 6));
    }
    zm_account_allocated_when_not_live(5 - 3);
    come_between = zm_child_new_stamp;
    for (size_t i = 1; i <= 6; i++) {
        check(zmalloc_used_memory() == bytes);
        loads = 0;
        before_load = i;
        check(!read_alone(&used));
    }
    before_load = 0;
    zfree(block);
    zfree(of_ended);
}

int main(void)
{
    nothing_was_freed_meanwhile();
    little_was_freed_meanwhile();
    the_second_pass_is_better();
    of_many_passes_the_best_is_taken();
    a_difference_is_not_below_zero();
    without_a_roster_it_is_the_same();
    mostly_one_pass_is_exact();
    without_a_roster_none_is_summed();
    one_thread_reads_its_own_counters();
    return 0;
}
