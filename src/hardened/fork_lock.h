/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks that fork takes, all of them, so that the child finds whole what they redzone. */
#ifndef ZM_FORK_LOCK_H
#define ZM_FORK_LOCK_H

#include <pthread.h>
#include <stdbool.h>

/* This thread forks, and has them all: other handlers of fork may run meanwhile, and allocate. */
extern _Thread_local bool zm_fork_holds_all_locks;

static inline void zm_fork_lock(pthread_mutex_t *mutex)
{
    if (!zm_fork_holds_all_locks) {
        pthread_mutex_lock(mutex);
    }
}

static inline void zm_fork_unlock(pthread_mutex_t *mutex)
{
    if (!zm_fork_holds_all_locks) {
        pthread_mutex_unlock(mutex);
    }
}

#endif
