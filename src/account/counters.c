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

struct zm_reader zm_readers_enter(void)
{
    unsigned now = atomic_load(&phase) % 2;
    return (struct zm_reader){.phase = now, .forks = atomic_fetch_add(&readers[now], 1) / A_FORK};
}

void zm_readers_leave(struct zm_reader visit)
{
    unsigned count = atomic_load(&readers[visit.phase]);
    while (count / A_FORK == visit.forks && !atomic_compare_exchange_weak(&readers[visit.phase], &count, count - 1)) {
    }
}

static void synchronize(void)
{
    unsigned pauses = 0;
    while (atomic_flag_test_and_set(&turning)) {
        zm_backoff(&pauses);
    }
    for (int turn = 0; turn < 2; turn++) {
        unsigned old = atomic_fetch_add(&phase, 1) % 2;
        while (atomic_load(&readers[old]) % A_FORK != 0) {
            zm_backoff(&pauses);
        }
    }
    atomic_flag_clear(&turning);
}

/* Acquired, for what was released: see zm_account_freed. */
static size_t value(const _Atomic size_t *counter)
{
    return counter != NULL ? atomic_load_explicit(counter, memory_order_acquire) : 0;
}

static const struct zm_base *current_base(const struct zm_counters *counters)
{
    /* In one order with the counting of readers: a reader that is not waited for must see the new base. */
    return &counters->bases[atomic_load(&counters->current)];
}

size_t zm_counters_allocated(const struct zm_counters *counters)
{
    const struct zm_base *base = current_base(counters);
    return base->allocated_before + value(base->allocated);
}

size_t zm_counters_freed(const struct zm_counters *counters)
{
    const struct zm_base *base = current_base(counters);
    return base->freed_before + value(base->freed);
}

void zm_counters_attach(struct zm_counters *counters, const _Atomic size_t *allocated, const _Atomic size_t *freed)
{
    /* No reader is at the living base: the thread before this one has waited for its readers. */
    counters->before = atomic_load(&counters->current);
    const struct zm_base *ended = &counters->bases[counters->before];
    counters->bases[LIVING] = (struct zm_base){
        .allocated = allocated,
        .freed = freed,
        .allocated_before = ended->allocated_before - value(allocated),
        .freed_before = ended->freed_before - value(freed),
    };
    atomic_store(&counters->current, LIVING);
}

/* The base before this thread's may still have a reader; the readers of the one before that have left. */
static void keep_sums(struct zm_counters *counters)
{
    const struct zm_base *living = &counters->bases[LIVING];
    unsigned next = counters->before == ENDED ? ENDED_TOO : ENDED;
    counters->bases[next] = (struct zm_base){
        .allocated_before = living->allocated_before + value(living->allocated),
        .freed_before = living->freed_before + value(living->freed),
    };
    atomic_store(&counters->current, next);
}

void zm_counters_detach(struct zm_counters *counters)
{
    keep_sums(counters);
    synchronize();
}

void zm_counters_detach_in_child(struct zm_counters *counters)
{
    if (atomic_load(&counters->current) == LIVING) {
        keep_sums(counters);
    }
}

void zm_readers_start_child(void)
{
    for (int i = 0; i < 2; i++) {
        atomic_store(&readers[i], (atomic_load(&readers[i]) / A_FORK + 1) * A_FORK);
    }
    atomic_flag_clear(&turning);
}
