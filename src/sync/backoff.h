/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for what another thread is about to do. */
#ifndef ZM_BACKOFF_H
#define ZM_BACKOFF_H

#include <sched.h>
#include <time.h>

/* Yields first, then sleeps: to yield is not enough if the other has a lower priority. */
static inline void zm_backoff(unsigned *times)
{
    enum { YIELDS = 100, NANOSECONDS = 50000 };
    if ((*times)++ < YIELDS) {
        sched_yield();
    } else {
        nanosleep(&(struct timespec){.tv_nsec = NANOSECONDS}, NULL);
    }
}

#endif
