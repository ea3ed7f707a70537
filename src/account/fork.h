/* SPDX-License-Identifier: BSD-3-Clause */
/* What the account does around a fork: it keeps the slots of the threads that are not in the child. */
#ifndef ZM_FORK_H
#define ZM_FORK_H

#include "account/gate.h"
#include "sync/child.h"

#include <stdbool.h>

/* When the library is loaded. Not 0: the system has no memory for fork handlers. */
int zm_fork_start(void);

/* For hooks of a child's stages: whether that thread is not in the child. */
bool zm_fork_has_ended(const struct zm_thread *thread, struct zm_child_stage stage);

#endif
