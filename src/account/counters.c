/* SPDX-License-Identifier: BSD-3-Clause */
/* How a reader may look into the memory of a thread that can end at any time. */
#include "account/counters.h"

#include "sync/backoff.h"

enum { ENDED, ENDED_TOO, LIVING };

/*
 * Readers are counted by phases. A thread that ends turns the phase over and waits for the readers of the old one;
 * new ones can't keep it waiting. The second turn is for a reader that had seen the phase and not yet counted
 * itself at the first.
 */
static atomic_uint phase;
static atomic_uint readers[2];
static atomic_flag turning = ATOMIC_FLAG_INIT;

/*
 * A fork in a signal handler amid a reading: in the child that reader is not counted any more. So the count of forks
 * stands in the same word, above that of readers: what was counted before a fork can't be taken off after it.
 */
enum { A_FORK = 1 << 20 };

struct zm_visit zm_follower_enter(void)
{
    unsigned now = atomic_load(&phase) % 2;
    return (struct zm_visit){.phase = now, .forks = atomic_fetch_add(&readers[now], 1) / A_FORK};
}

void zm_follower_leave(struct zm_visit visit)
{
    unsigned count = atomic_load(&readers[visit.phase]);
    while (count / A_FORK == visit.forks && !atomic_compare_exchange_weak(&readers[visit.phase], &count, count - 1)) {
    }
}

static void wait_for_readers(void)
{
    unsigned pauses = 0;
    while (atomic_flag_test_and_set(&turning)) {
        zm_pause(&pauses);
    }
    for (int turn = 0; turn < 2; turn++) {
        unsigned old = atomic_fetch_add(&phase, 1) % 2;
        while (atomic_load(&readers[old]) % A_FORK != 0) {
            zm_pause(&pauses);
        }
    }
    atomic_flag_clear(&turning);
}

/* Acquired, for what was released: see zm_account_freed. */
static size_t value(const _Atomic size_t *counter)
{
    return counter != NULL ? atomic_load_explicit(counter, memory_order_acquire) : 0;
}

static const struct zm_place *current_place(const struct zm_follower *follower)
{
    /* In one order with the counting of readers: who is not waited for must see the new place. */
    return &follower->places[atomic_load(&follower->current)];
}

size_t zm_follower_allocated(const struct zm_follower *follower)
{
    const struct zm_place *place = current_place(follower);
    return place->allocated_before + value(place->allocated);
}

size_t zm_follower_freed(const struct zm_follower *follower)
{
    const struct zm_place *place = current_place(follower);
    return place->freed_before + value(place->freed);
}

void zm_follower_start(struct zm_follower *follower, const _Atomic size_t *allocated, const _Atomic size_t *freed)
{
    /* Nobody is at the living place: the thread before this one has waited for its readers. */
    follower->before = atomic_load(&follower->current);
    const struct zm_place *ended = &follower->places[follower->before];
    follower->places[LIVING] = (struct zm_place){
        .allocated = allocated,
        .freed = freed,
        .allocated_before = ended->allocated_before - value(allocated),
        .freed_before = ended->freed_before - value(freed),
    };
    atomic_store(&follower->current, LIVING);
}

/* The place before this thread's may still have a reader; the one before that was waited for when it was left. */
static void keep_sums(struct zm_follower *follower)
{
    const struct zm_place *living = &follower->places[LIVING];
    unsigned next = follower->before == ENDED ? ENDED_TOO : ENDED;
    follower->places[next] = (struct zm_place){
        .allocated_before = living->allocated_before + value(living->allocated),
        .freed_before = living->freed_before + value(living->freed),
    };
    atomic_store(&follower->current, next);
}

void zm_follower_stop(struct zm_follower *follower)
{
    keep_sums(follower);
    wait_for_readers();
}

void zm_follower_stop_in_child(struct zm_follower *follower)
{
    if (atomic_load(&follower->current) == LIVING) {
        keep_sums(follower);
    }
}

void zm_follower_start_child(void)
{
    for (int i = 0; i < 2; i++) {
        atomic_store(&readers[i], (atomic_load(&readers[i]) / A_FORK + 1) * A_FORK);
    }
    atomic_flag_clear(&turning);
}
