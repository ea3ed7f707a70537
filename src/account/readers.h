/* SPDX-License-Identifier: BSD-3-Clause */
/* Readers of other threads' memory: two-phase sleepable RCU. A reader never waits; a thread that ends waits for them.
 */
#ifndef ZM_READERS_H
#define ZM_READERS_H

/* A read-side section is between enter and leave. It may sleep, and may run in a signal handler. */
struct zm_reader {
    unsigned phase;
    unsigned forks;
};
struct zm_reader zm_readers_enter(void);
void zm_readers_leave(struct zm_reader reader);

/* Returns when every section that had begun before is over: a grace period. Sections that begin later don't delay it.
 */
void zm_readers_synchronize(void);

/* In a forked child, before anything else of the account: the readers of other threads are not in it. */
void zm_readers_start_child(void);

#endif
