/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads' quotas of what a limit leaves. */
#ifndef ZM_QUOTA_H
#define ZM_QUOTA_H

#include "account/account.h"
#include "sync/plain.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* No more than this is taken of a thread's credit at once; and no mark is nearer to the end of its type. */
enum { ZM_QUOTA_MOST = 1 << 20, ZM_QUOTA_MARGIN = 1 << 24 };

/* All of these are by the thread itself. */

/* Its count of bytes allocated. */
static inline const _Atomic size_t *zm_quota_count(const struct zm_thread *self)
{
    return ZM_COUNTED_BY_ALLOCATOR ? self->quota.allocated : &self->allocated;
}

static inline bool zm_quota_has_credit(const struct zm_thread *self)
{
    return zm_plain_load(&self->quota.until) != 0;
}

/* After zm_quota_use: the block is counted, or is not to be had. */
static inline void zm_quota_commit(struct zm_thread *self, size_t bytes)
{
    zm_plain_subtract(&self->quota.reserved, bytes);
}

/*
 * Reserves up to ZM_QUOTA_MOST bytes of the credit for a block that the thread is about to count, if it has as much.
 * By no locked instruction and no fence: who takes credit back has a barrier in all threads for both sides. What an
 * interrupted call has reserved counts too, if this is a signal handler.
 */
static inline __attribute__((always_inline)) bool zm_quota_use(struct zm_thread *self, size_t bytes)
{
    struct zm_quota *own = &self->quota;
    zm_plain_add(&own->reserved, bytes);
    atomic_signal_fence(memory_order_seq_cst);
    size_t allocated = zm_plain_load(zm_quota_count(self)) + zm_plain_load(&own->reserved);
    if (ZM_LIKELY(allocated < zm_plain_load(&own->until))) {
        return true;
    }
    zm_quota_commit(self, bytes);
    return false;
}

/* This thread's; or, while others can't see its own, one that all such threads share and that never has credit. */
struct zm_quota *zm_quota_own(void);

/* What all threads may come to have allocated without asking, beyond what they have; and whether some of it is credit
 * that may be taken back. */
struct zm_quota_sums {
    size_t promised;
    bool idle;
};
struct zm_quota_sums zm_quota_sum_all(void);

/*
 * Before the lock is taken: has no credit, and may get some. In the place of its marks is a number that no count is
 * below, until it is lent credit, or none; or a signal handler comes that asks, or others take credit back.
 */
enum { ZM_QUOTA_ASKED = 1 };
void zm_quota_ask(struct zm_quota *quota);

/*
 * The rest of these are called under the lock of the limits, though the lock may be lost on the way: see child.h.
 */

/* Credit for a thread's own quota: its count may grow by so much. Not if anything happened to it since it asked. */
void zm_quota_lend(struct zm_quota *own, size_t bytes);

/* No thread has credit any more. What they had used by then is reserved or counted. If the system refuses the barrier
 * that it granted before, threads keep what they have until they use it up. */
void zm_quota_take_back_all(void);

/* Before credit is lent. */
void zm_quota_prepare(void);

/* In a forked child: what threads without a quota of their own had reserved does not count any more. */
void zm_quota_start_child(void);

#endif
