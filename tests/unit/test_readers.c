/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Readers that stay where they are, one step at a time, while the threads that they may be looking at end: an end
 * waits for them. It has the source in it, to put a race of two instructions together by hand.
 */
#include "account/readers.c"
/* clang-format keeps the order: the counters need the readers. */
#include "account/counters.c"

#include "../c/threads.h"

#include <time.h>

_Thread_local struct zm_thread zm_self = {.slow_up_to = ZM_NOT_LIVE};

enum { THREADS_AT_ONCE = 8, HERD = 200 };

struct ending {
    struct zm_counters counters;
    _Atomic size_t allocated;
    _Atomic size_t freed;
    atomic_bool is_over;
    pthread_t thread;
};

static void *stop(void *argument)
{
    struct ending *ending = argument;
    zm_counters_detach(&ending->counters);
    atomic_store(&ending->is_over, true);
    return NULL;
}

static void begin(struct ending *ending)
{
    *ending = (struct ending){.freed = 0};
    zm_counters_attach(&ending->counters, &ending->allocated, &ending->freed, NULL);
}

static void end(struct ending *ending)
{
    ending->thread = start(stop, ending);
}

/* If it is to wait, it does so however long this is. */
static void give_time(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
}

static void check_waits(struct ending *ending)
{
    give_time();
    check(!atomic_load(&ending->is_over));
}

static void an_end_waits_for_the_reader_inside(void)
{
    struct ending ending;
    for (int i = 0; i < 3; i++) {
        begin(&ending);
        struct zm_reader visit = zm_readers_enter();
        end(&ending);
        check_waits(&ending);
        zm_readers_leave(visit);
        join(ending.thread);
    }
}

/* Until the end that waits has turned the phase over. */
static void wait_for_turn(struct zm_reader visit)
{
    struct zm_reader other;
    do {
        other = zm_readers_enter();
        zm_readers_leave(other);
    } while (other.phase == visit.phase);
}

/* Each waits for the readers of its own time, whoever makes the turns. */
static void ends_at_once_wait_too(void)
{
    struct ending first;
    struct ending others[THREADS_AT_ONCE];
    begin(&first);
    struct zm_reader early = zm_readers_enter();
    end(&first);
    wait_for_turn(early);
    struct zm_reader late = zm_readers_enter();
    for (size_t i = 0; i < THREADS_AT_ONCE; i++) {
        begin(&others[i]);
        end(&others[i]);
    }
    give_time();
    zm_readers_leave(early);
    for (size_t i = 0; i < THREADS_AT_ONCE; i++) {
        check_waits(&others[i]);
    }
    zm_readers_leave(late);
    join(first.thread);
    for (size_t i = 0; i < THREADS_AT_ONCE; i++) {
        join(others[i].thread);
    }
}

static atomic_uint begun;

static void *stop_in_herd(void *argument)
{
    atomic_fetch_add(&begun, 1);
    return stop(argument);
}

/* While they wait there is one turn, and three after that; a few more for those that lost the processor at first. */
static void a_turn_serves_all_who_wait(void)
{
    static struct ending endings[HERD];
    struct zm_reader visit = zm_readers_enter();
    size_t before = atomic_load(&turns);
    for (size_t i = 0; i < HERD; i++) {
        begin(&endings[i]);
        endings[i].thread = start(stop_in_herd, &endings[i]);
    }
    while (atomic_load(&begun) < HERD) {
        give_time();
    }
    give_time();
    check(atomic_load(&turns) - before <= 1);
    zm_readers_leave(visit);
    for (size_t i = 0; i < HERD; i++) {
        join(endings[i].thread);
    }
    check(atomic_load(&turns) - before <= HERD / 4);
}

/* As a reader does that saw the phase, lost the processor while a thread ended, and only then counts itself. */
static struct zm_reader enter_late(unsigned seen)
{
    unsigned forks = atomic_fetch_add(&readers[seen], 1) / A_FORK;
    atomic_store(&zm_self.readings[seen], forks * A_FORK + zm_readers_own(seen) + 1);
    return (struct zm_reader){.phase = seen, .forks = forks};
}

static void an_end_waits_for_who_is_counted_late(void)
{
    struct ending ending;
    for (unsigned late = 0; late < 2; late++) {
        begin(&ending);
        struct zm_reader visit = enter_late((unsigned) (atomic_load(&turns) + late) % 2);
        end(&ending);
        check_waits(&ending);
        zm_readers_leave(visit);
        join(ending.thread);
    }
}

/* A turn by another thread, which looked at the readers before the late one came, and before the end began. */
static void an_end_trusts_no_turn_begun_before_it(void)
{
    struct ending ending;
    begin(&ending);
    struct zm_reader visit = enter_late((unsigned) (atomic_load(&turns) + 1) % 2);
    end(&ending);
    check_waits(&ending);
    atomic_fetch_add(&turns, 1);
    check_waits(&ending);
    zm_readers_leave(visit);
    join(ending.thread);
}

static void *enter_and_be_gone(void *phase)
{
    enter_late((unsigned) (uintptr_t) phase);
    return NULL;
}

static void start_child(void)
{
    zm_readers_start_child((const unsigned[]){zm_readers_own(0), zm_readers_own(1)});
    zm_readers_adopt_own();
}

/*
 * In a child, a reader on another thread of the parent's is not waited for. One of this thread's, which a signal
 * handler has interrupted to fork, still is; and it is told. And so in that child's child.
 */
static void a_child_has_readers_of_its_own(void)
{
    struct ending ending;
    for (unsigned i = 0; i < 8; i++) {
        join(start(enter_and_be_gone, (void *) (uintptr_t) (i % 2)));
        start_child();
        begin(&ending);
        zm_counters_detach(&ending.counters);

        begin(&ending);
        struct zm_reader visit = enter_late(i / 2 % 2);
        start_child();
        struct zm_reader another = enter_late(i / 4 % 2);
        check(zm_readers_leave(another));
        end(&ending);
        check_waits(&ending);
        check(!zm_readers_leave(visit));
        join(ending.thread);
    }
}

/* Another thread settled the child, and thought that both of two forked: then it turns out which one did not. */
static void who_did_not_fork_is_forgotten(void)
{
    struct ending ending;
    begin(&ending);
    struct zm_reader visit = enter_late(0);
    zm_readers_start_child((const unsigned[]){1 + 2, 3});
    zm_readers_forget(0, 2);
    zm_readers_forget(1, 3);
    zm_readers_adopt_own();
    end(&ending);
    check_waits(&ending);
    check(!zm_readers_leave(visit));
    join(ending.thread);
}

static void count(struct ending *ending, size_t allocated, size_t freed)
{
    atomic_fetch_add(&ending->allocated, allocated);
    atomic_fetch_add(&ending->freed, freed);
}

static void check_sums(const struct ending *ending, size_t allocated, size_t freed)
{
    check(zm_counters_allocated(&ending->counters) == allocated);
    check(zm_counters_freed(&ending->counters) == freed);
}

/* One thread after the other, whose counters have counted before: only what they grow by adds to the sums. */
static void sums_stay(void)
{
    struct ending ending = {.allocated = 1000, .freed = 900};
    size_t allocated = 0;
    size_t freed = 0;
    for (size_t i = 1; i <= 5; i++) {
        zm_counters_attach(&ending.counters, &ending.allocated, &ending.freed, NULL);
        check_sums(&ending, allocated, freed);
        count(&ending, 30 * i, 20 * i);
        allocated += 30 * i;
        freed += 20 * i;
        check_sums(&ending, allocated, freed);
        if (i % 2 == 0) {
            zm_counters_detach(&ending.counters);
        } else {
            zm_counters_detach_in_child(&ending.counters);
        }
        count(&ending, 7, 5);
        check_sums(&ending, allocated, freed);
        zm_counters_detach_in_child(&ending.counters); /* it has ended already */
        check_sums(&ending, allocated, freed);
    }
}

/* What a handler counts between two loads is seen by the second: the sum is of one moment. */
static size_t loads;

static size_t interrupted_twice(const struct zm_base *base)
{
    (void) base;
    return ++loads < 3 ? loads * 10 : 30;
}

static void sums_are_loaded_until_they_stay(void)
{
    check(settled(interrupted_twice, NULL) == 30);
    check(loads == 4);
}

/* An allocator's counters have in them what the thread counted apart, before and after it was live. */
static void what_counts_apart_is_taken_off(void)
{
    struct ending ending = {.allocated = 1000, .freed = 900};
    struct zm_thread thread = {.allocated_apart = 700, .freed_apart = 600};
    zm_counters_attach(&ending.counters, &ending.allocated, &ending.freed, &thread);
    for (int i = 0; i < 2; i++) {
        check_sums(&ending, 0, 0);
        count(&ending, 30, 20);
        atomic_fetch_add(&thread.allocated_apart, 30);
        atomic_fetch_add(&thread.freed_apart, 20);
    }
    count(&ending, 5, 3);
    check_sums(&ending, 5, 3);
    zm_counters_detach(&ending.counters);
    check_sums(&ending, 5, 3);
}

/* Only of a thread that has counters attached: the sums of one that ended before are known. */
static void what_is_lost_is_as_before_the_fork(void)
{
    const struct zm_sums before_fork = {.allocated = 300, .freed = 200};
    struct ending ending;
    begin(&ending);
    count(&ending, 310, 205);
    check(zm_counters_living(&ending.counters)->allocated == &ending.allocated);
    zm_counters_detach_lost(&ending.counters, &before_fork);
    check_sums(&ending, 300, 200);
    check(zm_counters_living(&ending.counters) == NULL);
    const struct zm_sums other = {.allocated = 1, .freed = 1};
    zm_counters_detach_lost(&ending.counters, &other);
    check_sums(&ending, 300, 200);
}

/* Two bases in turn: that of the thread before is whole until the next thread has ended as well. */
static void the_base_left_last_is_whole(void)
{
    struct ending ending;
    begin(&ending);
    count(&ending, 3, 2);
    zm_counters_detach(&ending.counters);
    for (size_t i = 0; i < 4; i++) {
        const struct zm_base *left = current_base(&ending.counters);
        struct zm_base as_it_was = *left;
        zm_counters_attach(&ending.counters, &ending.allocated, &ending.freed, NULL);
        count(&ending, 30, 20);
        zm_counters_detach(&ending.counters);
        check(current_base(&ending.counters) != left);
        check(left->allocated_before == as_it_was.allocated_before && left->freed_before == as_it_was.freed_before);
        check(left->allocated == NULL && left->freed == NULL);
    }
}

/* Its own word may be from before a fork, in a handler or not: then it has the forks of all first. */
static void a_thread_catches_up_with_forks(void)
{
    enum { FORKS = 5, INTERRUPTED = 3 };
    unsigned phase = (unsigned) (atomic_load(&turns) % 2);
    unsigned all = atomic_load(&readers[phase]);
    unsigned own = atomic_load(&zm_self.readings[phase]);
    for (unsigned count = 0; count <= INTERRUPTED; count += INTERRUPTED) {
        atomic_store(&readers[phase], FORKS * A_FORK + count + 1); /* one is another thread's */
        atomic_store(&zm_self.readings[phase], (FORKS - 1) * A_FORK + count);
        struct zm_reader visit = zm_readers_enter();
        check(visit.phase == phase && visit.forks == FORKS);
        check(atomic_load(&readers[phase]) == FORKS * A_FORK + count + 2);
        check(atomic_load(&zm_self.readings[phase]) == FORKS * A_FORK + count + 1);
        check(zm_readers_leave(visit));
        check(atomic_load(&readers[phase]) == FORKS * A_FORK + count + 1);
        check(zm_readers_own(phase) == count);
    }
    /* One that is counted nowhere, as a child began without it, takes off no other's. */
    atomic_store(&readers[phase], FORKS * A_FORK);
    atomic_store(&zm_self.readings[phase], FORKS * A_FORK + 1);
    check(zm_readers_leave((struct zm_reader){.phase = phase, .forks = FORKS}));
    check(atomic_load(&readers[phase]) == FORKS * A_FORK && zm_readers_own(phase) == 0);
    atomic_store(&readers[phase], all);
    atomic_store(&zm_self.readings[phase], own);
}

static void a_reader_settles_the_child(void)
{
    atomic_store(&zm_child_page->is_settled, false);
    struct zm_reader visit = zm_readers_enter();
    check(atomic_load(&zm_child_page->is_settled));
    check(zm_readers_leave(visit));
}

int main(void)
{
    a_thread_catches_up_with_forks();
    a_reader_settles_the_child();
    an_end_waits_for_the_reader_inside();
    ends_at_once_wait_too();
    a_turn_serves_all_who_wait();
    an_end_waits_for_who_is_counted_late();
    an_end_trusts_no_turn_begun_before_it();
    a_child_has_readers_of_its_own();
    who_did_not_fork_is_forgotten();
    what_counts_apart_is_taken_off();
    what_is_lost_is_as_before_the_fork();
    sums_stay();
    sums_are_loaded_until_they_stay();
    the_base_left_last_is_whole();
    return 0;
}
