/* SPDX-License-Identifier: BSD-3-Clause */
/* Thread counters: attached to a living thread, detached at its end, read through their base. */
#include "account/counters.h"

#include "account/readers.h"

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

static size_t allocated_by(const struct zm_base *base)
{
    size_t apart = base->apart != NULL ? value(&base->apart->allocated_apart) : 0;
    return value(base->allocated) - apart;
}

static size_t freed_by(const struct zm_base *base)
{
    size_t apart = base->apart != NULL ? value(&base->apart->freed_apart) : 0;
    return value(base->freed) - apart;
}

size_t zm_counters_allocated(const struct zm_counters *counters)
{
    const struct zm_base *base = current_base(counters);
    return base->allocated_before + allocated_by(base);
}

size_t zm_counters_freed(const struct zm_counters *counters)
{
    const struct zm_base *base = current_base(counters);
    return base->freed_before + freed_by(base);
}

/*
 * For the thread itself. It may be interrupted between two loads by a handler that allocates or frees, as fork
 * handlers do when a signal handler forks: then they are loaded again.
 */
static size_t settled(size_t (*by)(const struct zm_base *base), const struct zm_base *base)
{
    size_t first;
    size_t second = by(base);
    do {
        first = second;
        second = by(base);
    } while (first != second);
    return second;
}

void zm_counters_attach(struct zm_counters *counters, const _Atomic size_t *allocated, const _Atomic size_t *freed,
                        const struct zm_thread *apart)
{
    /* No reader is at the living base: the thread before this one has waited for its readers. */
    counters->before = atomic_load(&counters->current);
    const struct zm_base *ended = &counters->bases[counters->before];
    struct zm_base *living = &counters->bases[ZM_LIVING];
    *living = (struct zm_base){.allocated = allocated, .freed = freed, .apart = apart};
    living->allocated_before = ended->allocated_before - settled(allocated_by, living);
    living->freed_before = ended->freed_before - settled(freed_by, living);
    atomic_store(&counters->steady, false);
    atomic_store(&counters->current, ZM_LIVING);
}

void zm_counters_set_steady(struct zm_counters *counters, bool steady)
{
    atomic_store(&counters->steady, steady);
}

bool zm_counters_get_fixed(const struct zm_counters *counters, struct zm_fixed *fixed)
{
    const struct zm_base *base = current_base(counters);
    bool is_living = base == &counters->bases[ZM_LIVING];
    if (is_living && !atomic_load(&counters->steady)) {
        return false;
    }
    size_t used_apart =
        base->apart != NULL ? value(&base->apart->allocated_apart) - value(&base->apart->freed_apart) : 0;
    fixed->allocated = base->allocated;
    fixed->freed = base->freed;
    fixed->used_before = base->allocated_before - base->freed_before - used_apart;
    return true;
}

/* The base before this thread's may still have a reader; the readers of the one before that have left. */
static void keep(struct zm_counters *counters, size_t allocated, size_t freed)
{
    unsigned next = counters->before == ZM_ENDED ? ZM_ENDED_TOO : ZM_ENDED;
    counters->bases[next] = (struct zm_base){.allocated_before = allocated, .freed_before = freed};
    atomic_store(&counters->current, next);
}

static void keep_sums(struct zm_counters *counters)
{
    const struct zm_base *living = &counters->bases[ZM_LIVING];
    keep(counters, living->allocated_before + settled(allocated_by, living),
         living->freed_before + settled(freed_by, living));
}

const struct zm_base *zm_counters_living(const struct zm_counters *counters)
{
    return atomic_load(&counters->current) == ZM_LIVING ? &counters->bases[ZM_LIVING] : NULL;
}

void zm_counters_detach(struct zm_counters *counters)
{
    keep_sums(counters);
    zm_readers_synchronize();
}

void zm_counters_detach_in_child(struct zm_counters *counters)
{
    if (zm_counters_living(counters) != NULL) {
        keep_sums(counters);
    }
}

void zm_counters_detach_lost(struct zm_counters *counters, const struct zm_sums *before_fork)
{
    if (zm_counters_living(counters) != NULL) {
        keep(counters, atomic_load(&before_fork->allocated), atomic_load(&before_fork->freed));
    }
}
