/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits on the bytes in use: what may be allocated, and what is to be told. */
#ifndef ZM_LIMIT_H
#define ZM_LIMIT_H

#include "account/gate.h"
#include "limit/quota.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether any limit is set. Then all allocations take the slow path, and claim their bytes first. */
static inline bool zm_limit_is_set(void)
{
    return zm_gate_has(ZM_GATE_LIMIT);
}

/* The bytes of a block that is about to be allocated. */
struct zm_claim {
    struct zm_quota *quota; /* where they are reserved; NULL: nowhere, as there is no limit, or it refused them */
    size_t bytes;
    bool granted;
    bool may_cross; /* the soft limit, with this block */
    bool at_once;   /* by this thread's credit, and with all that the thread will count */
};

/*
 * For a block of so many bytes in the place of an old one. The thread will count all bytes of both; the claim is for
 * what is new. If it has a quota, zm_limit_commit must follow: when the block is in the account, or is not to be had.
 */
struct zm_claim zm_limit_claim(size_t bytes, size_t old);

/* As the block is larger than was thought. If there is no room for that, the claim is as it was. */
bool zm_limit_extend(struct zm_claim *claim, size_t bytes, size_t old);

/* Calls back if the soft limit was crossed. If there is no block after all, the credit that was lent for it goes. */
void zm_limit_commit(const struct zm_claim *claim, bool is_there);

#endif
