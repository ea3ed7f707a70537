/* SPDX-License-Identifier: BSD-3-Clause */
/* The blocks that were freed last, in a hardened build: nobody gets their memory yet. */
#ifndef ZM_QUARANTINE_H
#define ZM_QUARANTINE_H

#include "hardened/registry.h"

/* The most that is held, of all threads together. What is larger alone is not held at all. */
enum { ZM_QUARANTINE_BYTES = 1 << 20, ZM_QUARANTINE_BLOCKS = 4096 };

/* Puts a block of that many bytes in. Where there is no room, takes out the one that is in the longest, and says
 * false. */
bool zm_quarantine_put(const struct zm_entry *block, size_t bytes, struct zm_entry *oldest);

/* False: there is none. */
bool zm_quarantine_take(struct zm_entry *oldest);

#endif
