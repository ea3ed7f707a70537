/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks that fork takes, all of them, so that the child finds whole what they guard; and that a child finds free. */
#ifndef ZM_FORK_LOCK_H
#define ZM_FORK_LOCK_H

#include "sync/child.h"

#include <stdint.h>

/* Goes without if this thread forks and has them all: other handlers of fork may run meanwhile, and allocate. */
static inline uintptr_t zm_fork_lock(unsigned name)
{
    return zm_lock_has_all() ? 0 : zm_lock_take((enum zm_lock_name) name);
}

static inline void zm_fork_unlock(unsigned name, uintptr_t token)
{
    if (token != 0) {
        zm_lock_release((enum zm_lock_name) name, token);
    }
}

#endif
