/* SPDX-License-Identifier: BSD-3-Clause */
/* Thread counters: attached to a living thread, detached at its end, read through their base. */
#include "account/counters.h"

#include "account/readers.h"

enum { ENDED, ENDED_TOO, LIVING };

/* Acquired, for what was released: see zm_account_freed_when_live. */
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
    zm_readers_synchronize();
}

void zm_counters_detach_in_child(struct zm_counters *counters)
{
    if (atomic_load(&counters->current) == LIVING) {
        keep_sums(counters);
    }
}
