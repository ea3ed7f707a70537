/* SPDX-License-Identifier: BSD-3-Clause */
/* The roster: where the counters of all living threads are, side by side, and what is counted elsewhere. */
#ifndef ZM_ROSTER_H
#define ZM_ROSTER_H

#include "account/slots.h"
#include "sync/child.h"
#include "sync/plain.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A reader makes it from the slots, and others use it for as long as no thread comes or goes. Who comes or goes gives
 * the state a new stamp (sync/child.h): a thread that registers once it is attached, and before it is live; one that
 * ends once it is not steady any more, and before it is not live. All of these are within a read-side section.
 */
struct zm_roster {
    size_t stamp;
    size_t length;              /* a multiple of the step */
    size_t used_before;         /* what is counted elsewhere, but for the shared counters; modulo 2^N */
    const struct zm_slot *only; /* its slot, if one thread alone is living */
};

/* The last one that was made, but for its pairs: they are in the slots' chunks. */
struct zm_last_roster {
    _Atomic size_t stamp;
    _Atomic size_t length;
    _Atomic size_t used_before;
    _Atomic(const struct zm_slot *) only;
};
extern struct zm_last_roster zm_last_roster;

/* Makes the last one anew, if nobody else does. */
void zm_roster_try_to_make(size_t stamp);

/* Whether there is one. */
static inline bool zm_roster_get(struct zm_roster *roster)
{
    size_t now = zm_child_stamp();
    if (!ZM_LIKELY(atomic_load(&zm_last_roster.stamp) == now)) {
        zm_roster_try_to_make(now);
    }
    roster->stamp = atomic_load(&zm_last_roster.stamp);
    roster->length = atomic_load(&zm_last_roster.length);
    roster->used_before = atomic_load(&zm_last_roster.used_before);
    roster->only = atomic_load(&zm_last_roster.only);
    return roster->stamp == now;
}

/* Whether it holds: then it held since it was got. */
static inline bool zm_roster_holds(const struct zm_roster *roster)
{
    atomic_signal_fence(memory_order_seq_cst);
    return zm_child_stamp() == roster->stamp;
}

/* Pairs are summed by so many at once. What is too many in the last step is a pair of zeroes. */
enum { ZM_ROSTER_STEP = 4 };
_Static_assert(ZM_SLOTS_AT_START % ZM_ROSTER_STEP == 0 && ZM_SLOTS_A_CHUNK % ZM_ROSTER_STEP == 0, "whole steps");

static inline __attribute__((always_inline)) size_t zm_roster_load(const struct zm_pair *pair, bool freed)
{
    return zm_plain_load(atomic_load_explicit(freed ? &pair->freed : &pair->allocated, memory_order_acquire));
}

static inline __attribute__((always_inline)) size_t zm_roster_sum_pairs(const struct zm_pair *pair, size_t length,
                                                                        bool freed)
{
    size_t total = 0;
    for (const struct zm_pair *end = pair + length; pair != end; pair += ZM_ROSTER_STEP) {
        total += zm_roster_load(&pair[0], freed);
        total += zm_roster_load(&pair[1], freed);
        total += zm_roster_load(&pair[2], freed);
        total += zm_roster_load(&pair[3], freed);
    }
    return total;
}

size_t zm_roster_sum_chunks(size_t length, bool freed);

/* The living threads' counters. */
static inline __attribute__((always_inline)) size_t zm_roster_sum(const struct zm_roster *roster, bool freed)
{
    atomic_signal_fence(memory_order_seq_cst);
    size_t total = ZM_LIKELY(roster->length <= ZM_SLOTS_AT_START)
                       ? zm_roster_sum_pairs(zm_slots_pairs_at_start, roster->length, freed)
                       : zm_roster_sum_chunks(roster->length, freed);
    atomic_signal_fence(memory_order_seq_cst);
    return total;
}

/* In each stage of a forked child. If it is known that this thread forked, another one that was making a roster is
 * not there. */
void zm_roster_start_child(bool is_first, bool is_forker_known);

#endif
