/* SPDX-License-Identifier: BSD-3-Clause */
/* Follows the two counters of a thread, in that thread's own memory, while it lives; keeps their sums after. */
#ifndef ZM_COUNTERS_H
#define ZM_COUNTERS_H

#include "account/gate.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A thread's counters, written by that thread alone; NULL: there is none. And what was counted before it. Where the
 * allocator counts, what the thread counted apart is in its counters too, and is taken off.
 */
struct zm_base {
    const _Atomic size_t *allocated;
    const _Atomic size_t *freed;
    const struct zm_thread *apart;
    size_t allocated_before;
    size_t freed_before;
};

/* One base for the living thread, and two in turn for the sums of ended ones. A reader sees one of them, whole. */
enum { ZM_ENDED, ZM_ENDED_TOO, ZM_LIVING, ZM_BASES };

struct zm_counters {
    atomic_uint current;
    atomic_bool steady; /* the living thread is live, and counts nothing apart any more */
    unsigned before;    /* the living thread: which of the two came before it */
    struct zm_base bases[ZM_BASES];
};

/* From now on what this thread's counters grow by adds to the sums. */
void zm_counters_attach(struct zm_counters *counters, const _Atomic size_t *allocated, const _Atomic size_t *freed,
                        const struct zm_thread *apart);

/* The sums stay. When it returns, no reader looks at the counters any more: their memory may go. */
void zm_counters_detach(struct zm_counters *counters);

/*
 * The same in a forked child, for a thread that is not in it. If its memory may be another's by now, the sums are
 * what they were before the fork.
 */
void zm_counters_detach_in_child(struct zm_counters *counters);
struct zm_sums {
    _Atomic size_t allocated;
    _Atomic size_t freed;
};
void zm_counters_detach_lost(struct zm_counters *counters, const struct zm_sums *before_fork);

/* The counters that a thread has attached, or NULL. */
const struct zm_base *zm_counters_living(const struct zm_counters *counters);

/* Those of this thread, which are attached: for itself. */
static inline const struct zm_base *zm_counters_own(const struct zm_counters *counters)
{
    return &counters->bases[ZM_LIVING];
}

/*
 * The thread has gone live, or is about to leave. In between the sums are a fixed number and its two counters.
 * Whoever keeps that number has to be told before the thread leaves, and after it was not steady.
 */
void zm_counters_set_steady(struct zm_counters *counters, bool steady);

/* The fixed parts, and where the counters are; NULL: no thread is living. False: there is a living thread that is not
 * steady. Within a read-side section. */
struct zm_fixed {
    const _Atomic size_t *allocated;
    const _Atomic size_t *freed;
    size_t used_before; /* modulo 2^N */
};
bool zm_counters_get_fixed(const struct zm_counters *counters, struct zm_fixed *fixed);

/* Both within a read-side section: see readers.h. */
size_t zm_counters_allocated(const struct zm_counters *counters);
size_t zm_counters_freed(const struct zm_counters *counters);

#endif
