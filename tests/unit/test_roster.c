/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The roster by itself: what it sums is what the slots' sums are, with any number of living and ended threads, and it
 * holds until one comes or goes. It has the source in it, to stop a maker in the middle.
 */
#include "account/roster.c"
/* clang-format keeps the order. */
#include "account/counters.c"
#include "account/slots.c"

#include "../c/threads.h"

_Thread_local struct zm_thread zm_self = {.slow_up_to = ZM_NOT_LIVE};

enum { MOST = 700 };

/* Threads, all of them this one: the library asks nobody who they are. */
static struct {
    struct zm_slot *slot;
    _Atomic size_t allocated;
    _Atomic size_t freed;
    struct zm_thread apart;
} threads[MOST];
static size_t living;

static void begin(size_t count)
{
    for (; living < count; living++) {
        size_t i = living;
        atomic_store(&threads[i].allocated, 1000 * i);
        atomic_store(&threads[i].freed, 900 * i);
        threads[i].apart = (struct zm_thread){.allocated_apart = 10, .freed_apart = 4};
        threads[i].slot = zm_slots_take();
        check(threads[i].slot != NULL);
        zm_counters_attach(&threads[i].slot->counters, &threads[i].allocated, &threads[i].freed,
                           i % 2 == 0 ? &threads[i].apart : NULL);
        struct zm_fixed fixed;
        check(!zm_counters_get_fixed(&threads[i].slot->counters, &fixed));
        atomic_fetch_add(&threads[i].allocated, 30 + i);
        atomic_fetch_add(&threads[i].freed, 20);
        atomic_fetch_add(&threads[i].apart.allocated_apart, 3); /* as a handler may, before it is steady */
        zm_counters_set_steady(&threads[i].slot->counters, true);
    }
    zm_child_new_stamp();
}

static void end(size_t count)
{
    while (living > count) {
        struct zm_slot *slot = threads[--living].slot;
        zm_counters_set_steady(&slot->counters, false);
        zm_child_new_stamp();
        zm_counters_detach(&slot->counters);
        zm_slots_set_free(slot);
    }
}

static void add_used(struct zm_slot *slot, void *sum)
{
    *(size_t *) sum += zm_counters_allocated(&slot->counters) - zm_counters_freed(&slot->counters);
}

static void check_sums(const struct zm_roster *roster)
{
    size_t used = 0;
    size_t allocated = 0;
    size_t freed = 0;
    zm_slots_each(add_used, &used);
    for (size_t i = 0; i < living; i++) {
        allocated += atomic_load(&threads[i].allocated);
        freed += atomic_load(&threads[i].freed);
    }
    check(zm_roster_sum(roster, false) == allocated && zm_roster_sum(roster, true) == freed);
    check(roster->used_before + allocated - freed == used);
}

static struct zm_roster good_roster(void)
{
    struct zm_roster roster;
    check(zm_roster_get(&roster) && zm_roster_holds(&roster));
    check(roster.length == (living + ZM_ROSTER_STEP - 1) / ZM_ROSTER_STEP * ZM_ROSTER_STEP);
    check(roster.only == (living == 1 ? threads[0].slot : NULL));
    check_sums(&roster);
    return roster;
}

/* What they do from now on is seen without a new roster. */
static void count(const struct zm_roster *roster)
{
    for (size_t i = 0; i < living; i++) {
        atomic_fetch_add(&threads[i].allocated, 50 + i);
        atomic_fetch_add(&threads[i].freed, 7 * i);
        check_sums(roster);
    }
    check(zm_roster_holds(roster));
}

static void sums_are_those_of_the_slots(void)
{
    static const size_t counts[] = {0, 1, 2, 4, 5, 31, 32, 33, 5, 36, 288, 289, 290, 600, 1, MOST, 40, 3, 0, 1};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        end(counts[i]);
        begin(counts[i]);
        struct zm_roster roster = good_roster();
        count(&roster);
    }
}

/* A chunk is full before the next one is mapped. */
static void chunks_are_no_more_than_are_needed(void)
{
    size_t room = 0;
    for (const struct zm_chunk *chunk = &zm_slots; chunk != NULL; chunk = atomic_load(&chunk->next)) {
        check(room < MOST);
        room += chunk->length;
    }
    check(room >= MOST);
}

static size_t made_at(const struct zm_roster *roster)
{
    return roster->stamp;
}

/* Nobody makes another while it holds; and none that held before does again. */
static void it_holds_until_a_thread_comes_or_goes(void)
{
    end(0);
    begin(3);
    struct zm_roster first = good_roster();
    struct zm_roster same = good_roster();
    check(made_at(&first) == made_at(&same));
    begin(4);
    check(!zm_roster_holds(&first));
    struct zm_roster second = good_roster();
    end(3);
    check(!zm_roster_holds(&second));
    struct zm_roster third = good_roster();
    check(made_at(&third) != made_at(&second) && made_at(&third) != made_at(&first));
}

/* Attached and not yet live, or about to leave: it may count apart. */
static void there_is_none_amid_a_change(void)
{
    end(0);
    begin(3);
    struct zm_roster roster = good_roster();
    zm_counters_set_steady(&threads[1].slot->counters, false);
    check(zm_roster_get(&roster)); /* made before: the thread has not told yet, and still counts as it did */
    zm_child_new_stamp();
    check(!zm_roster_get(&roster) && !zm_roster_get(&roster));
    zm_counters_set_steady(&threads[1].slot->counters, true);
    good_roster();
}

/* Its maker lost the processor: others do without. */
static void there_is_none_while_another_makes_it(void)
{
    static const struct zm_thread another;
    struct zm_roster roster;
    zm_child_new_stamp();
    atomic_store(&maker, &another);
    check(!zm_roster_get(&roster));
    atomic_store(&maker, NULL);
    good_roster();
    zm_child_new_stamp();
    atomic_store(&maker, &another);
    check(!zm_roster_get(&roster));
    atomic_store(&maker, NULL);
}

/* What is being made when a thread comes or goes is not taken for good. */
static void what_was_made_too_late_does_not_hold(void)
{
    end(0);
    begin(2);
    size_t before = zm_child_stamp();
    zm_child_new_stamp();
    make(before);
    struct zm_roster roster;
    check(atomic_load(&zm_last_roster.stamp) != before);
    check(zm_roster_get(&roster) && made_at(&roster) == zm_child_stamp());
}

/* A reader of the roster before finds good pairs only, while it is made anew in place. */
static void a_reader_amid_making_finds_good_pairs(void)
{
    end(0);
    begin(MOST);
    struct zm_roster before = good_roster();
    end(1);
    good_roster();
    check(!zm_roster_holds(&before));
    size_t sum = zm_roster_sum(&before, false) + zm_roster_sum(&before, true);
    check(sum != 0);
}

/* In a child, a maker that is not there would be waited for for ever; this one goes on, in the interrupted call. */
static void a_child_has_no_other_maker(void)
{
    static const struct zm_thread another;
    atomic_store(&maker, &another);
    zm_roster_start_child(true, true);
    check(atomic_load(&maker) == NULL);

    atomic_store(&maker, &another);
    zm_roster_start_child(true, false);
    check(atomic_load(&maker) == &another);
    zm_roster_start_child(false, true);
    check(atomic_load(&maker) == NULL);

    atomic_store(&maker, &zm_self);
    zm_roster_start_child(true, true);
    check(atomic_load(&maker) == &zm_self);
    atomic_store(&maker, NULL);

    /* A maker that began in the child, between the two stages, is there. */
    zm_roster_start_child(true, false);
    atomic_store(&maker, &another);
    zm_roster_start_child(false, true);
    check(atomic_load(&maker) == &another);
    atomic_store(&maker, NULL);
}

/* Until a child is settled it has no stamp at all; afterwards it has a new one. */
static void a_child_begins_without(void)
{
    struct zm_roster before = good_roster();
    size_t parents = zm_child_stamp();
    check(parents % 2 == 1 && ZM_NEVER_A_STAMP % 2 == 0);
    zm_child_handle();
    check(zm_child_stamp() % 2 == 1 && zm_child_stamp() != parents);
    check(!zm_roster_holds(&before));
    good_roster();
}

/* Amid a reading that was interrupted to fork. A child of its own is not settled either, and has the same stamp. */
static void an_unsettled_child_has_none(void)
{
    struct zm_roster roster;
    atomic_store(&zm_child_page->stamp, 0);
    for (int i = 0; i < 2; i++) {
        check(!zm_roster_get(&roster));
    }
    zm_child_new_stamp();
}

int main(void)
{
    an_unsettled_child_has_none();
    sums_are_those_of_the_slots();
    chunks_are_no_more_than_are_needed();
    it_holds_until_a_thread_comes_or_goes();
    there_is_none_amid_a_change();
    there_is_none_while_another_makes_it();
    what_was_made_too_late_does_not_hold();
    a_reader_amid_making_finds_good_pairs();
    a_child_has_no_other_maker();
    a_child_begins_without();
    an_unsettled_child_has_none();
    return 0;
}
