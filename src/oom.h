/* SPDX-License-Identifier: BSD-3-Clause */
/* What is done when there is no memory: the handlers that programs set. */
#ifndef ZM_OOM_H
#define ZM_OOM_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a request that failed is to be made again; tries begins at 0. Otherwise, if this returns, the caller sees
 * that it failed. */
bool zm_oom_try_again(size_t size, unsigned *tries);

#endif
