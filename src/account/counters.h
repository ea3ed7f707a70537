/* SPDX-License-Identifier: BSD-3-Clause */
/* Follows the two counters of a thread, in that thread's own memory, while it lives; keeps their sums after. */
#ifndef ZM_FOLLOWER_H
#define ZM_FOLLOWER_H

#include <stdatomic.h>
#include <stddef.h>

/* A thread's counters, written by that thread alone; NULL: there is none. And what was counted before it. */
struct zm_place {
    const _Atomic size_t *allocated;
    const _Atomic size_t *freed;
    size_t allocated_before;
    size_t freed_before;
};

/* One place for the living thread, and two in turn for the sums of ended ones. A reader sees one of them, whole. */
struct zm_follower {
    atomic_uint current;
    unsigned before; /* the living thread: which of the two came before it */
    struct zm_place places[3];
};

/* From now on what this thread's counters grow by adds to the sums. */
void zm_follower_start(struct zm_follower *follower, const _Atomic size_t *allocated, const _Atomic size_t *freed);

/* The sums stay. When it returns, no reader looks at the counters any more: their memory may go. */
void zm_follower_stop(struct zm_follower *follower);

/* The same in a forked child, for a thread that is not in it. */
void zm_follower_stop_in_child(struct zm_follower *follower);

/* In a forked child, before all else: the readers are not in it either. */
void zm_follower_start_child(void);

/* Readers read between enter and leave, and never wait. */
struct zm_visit {
    unsigned phase;
    unsigned forks;
};
struct zm_visit zm_follower_enter(void);
void zm_follower_leave(struct zm_visit visit);
size_t zm_follower_allocated(const struct zm_follower *follower);
size_t zm_follower_freed(const struct zm_follower *follower);

#endif
