/* SPDX-License-Identifier: BSD-3-Clause */
/* Readers of other threads' memory: two-phase sleepable RCU. A reader never waits; a thread that ends waits for them.
 */
#ifndef ZM_READERS_H
#define ZM_READERS_H

#include <stdbool.h>

/* A read-side section is between enter and leave. It may sleep, and may run in a signal handler. */
struct zm_reader {
    unsigned phase;
    unsigned forks;
};
struct zm_reader zm_readers_enter(void);

/* False: this is a child, forked in between by a signal handler. What was read may be of both: it is to be repeated.
 */
bool zm_readers_leave(struct zm_reader reader);

/* Returns when every section that had begun before is over: a grace period. Sections that begin later don't delay it.
 */
void zm_readers_synchronize(void);

/* This thread's own readings in a phase: those that a signal handler has interrupted. */
unsigned zm_readers_own(unsigned phase);

/* In a forked child, before anything else of the account: of the readings in each phase so many are left. */
void zm_readers_start_child(const unsigned counts[2]);

/* Then, in the thread that forked: its own are among them. */
void zm_readers_adopt_own(void);

/* Then: so many were another thread's after all. */
void zm_readers_forget(unsigned phase, unsigned count);

#endif
