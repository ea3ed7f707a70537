/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads' quotas of what a limit leaves: how credit is lent, summed, and taken back. */
#include "limit/quota.h"

#include "account/readers.h"
#include "account/slots.h"
#include "os/os.h"
#include "util/saturate.h"

/*
 * A thread uses its credit in this order: it reserves the bytes, looks at the mark, counts the block, and reserves
 * them no more. Who takes credit back clears the mark, has a barrier in all threads, and then looks at what is
 * reserved and counted. So a thread that has not seen the mark cleared has its bytes seen. Where the system has no
 * such barrier, the mark is another one: the thread has a fence before it looks at it, and others after they cleared
 * it. What is lent counts as promised until then. Others look at it first, then at what is reserved, then at the
 * count, and miss none.
 */

/* Of threads that have none of their own. A child takes another one: what its own thread may have reserved in the
 * parent's, in a call that a signal handler has interrupted to fork, is taken off there. */
enum { GENERATIONS = 8 };
static struct zm_quota of_slotless_threads[GENERATIONS];
static atomic_uint generation;

/* Whether the system has that barrier. */
static atomic_bool has_barrier;

static struct zm_quota *of_slotless_thread(void)
{
    return &of_slotless_threads[atomic_load(&generation) % GENERATIONS];
}

struct zm_quota *zm_quota_own(void)
{
    struct zm_slot *own = zm_slots_own();
    return own != NULL && atomic_load(&own->thread) == &zm_self ? &zm_self.quota : of_slotless_thread();
}

/* Looks at the quota of each live thread. It is in that thread's own memory: a thread that ends waits for readers. */
struct visit {
    void (*look)(struct zm_quota *quota, void *context);
    void *context;
};

static void look_at(struct zm_slot *slot, void *context)
{
    struct zm_thread *thread = atomic_load(&slot->thread);
    if (thread != NULL && atomic_load(&thread->slot) == slot) {
        const struct visit *visit = context;
        visit->look(&thread->quota, visit->context);
    }
}

/* False: to be repeated, as this is a child by now. */
static bool visit_all(void (*look)(struct zm_quota *quota, void *context), void *context)
{
    struct visit visit = {.look = look, .context = context};
    struct zm_reader reader = zm_readers_enter();
    zm_slots_each(look_at, &visit);
    return zm_readers_leave(reader);
}

static void add_promised(struct zm_quota *quota, void *context)
{
    struct zm_quota_sums *sums = context;
    size_t lent = atomic_load(&quota->lent);
    size_t fenced = atomic_load(&quota->fenced);
    size_t reserved = atomic_load(&quota->reserved);
    size_t allocated = atomic_load_explicit(quota->allocated, memory_order_acquire);
    size_t credit = zm_minus(lent > fenced ? lent : fenced, allocated);
    sums->promised += credit > reserved ? credit : reserved;
    sums->idle |= credit > reserved;
}

struct zm_quota_sums zm_quota_sum_all(void)
{
    struct zm_quota_sums sums;
    do {
        sums = (struct zm_quota_sums){0};
    } while (!visit_all(add_promised, &sums));
    sums.promised += atomic_load(&of_slotless_thread()->reserved);
    return sums;
}

void zm_quota_ask(struct zm_quota *quota)
{
    zm_quota_drop(quota);
    atomic_store(&quota->fenced, ZM_QUOTA_ASKED);
    atomic_store(&quota->until, ZM_QUOTA_ASKED);
}

static bool set_mark(_Atomic size_t *mark, size_t until)
{
    size_t asked = ZM_QUOTA_ASKED;
    return atomic_compare_exchange_strong(mark, &asked, until);
}

/*
 * Others are told first. The mark is set by one instruction that fails if the lock was lost: a handler that took it
 * has asked too, and is lent nothing; or it set a limit. So nobody uses credit that others may not have seen.
 */
void zm_quota_lend(struct zm_quota *own, size_t bytes)
{
    size_t allocated = atomic_load_explicit(own->allocated, memory_order_relaxed);
    size_t until = zm_plus(allocated, bytes);
    bool is_lent = false;
    if (until < SIZE_MAX - ZM_QUOTA_MARGIN) {
        if (atomic_load(&has_barrier)) {
            atomic_store(&own->lent, until);
            is_lent = set_mark(&own->until, until);
            atomic_store(&own->fenced, 0);
        } else {
            is_lent = set_mark(&own->fenced, until);
            atomic_store(&own->until, 0);
        }
    }
    if (!is_lent) {
        zm_quota_drop(own);
    }
}

/* Who asks goes on: it has no credit. */
static void clear_marks(struct zm_quota *quota, void *any_lent)
{
    if (quota == &zm_self.quota && atomic_load(&quota->until) == ZM_QUOTA_ASKED) {
        return;
    }
    atomic_store(&quota->until, 0);
    atomic_store(&quota->fenced, 0);
    *(bool *) any_lent |= atomic_load(&quota->lent) != 0;
}

/* Not if it was lent again: the lock may have been lost meanwhile. */
static void clear_lent(struct zm_quota *quota, void *context)
{
    (void) context;
    size_t lent = atomic_load(&quota->lent);
    if (atomic_load(&quota->until) == 0) {
        atomic_compare_exchange_strong(&quota->lent, &lent, 0);
    }
}

void zm_quota_take_back_all(void)
{
    bool any_lent = false;
    while (!visit_all(clear_marks, &any_lent)) {
    }
    if (!any_lent) {
        return;
    }
    if (zm_os_barrier_in_all_threads() != 0) {
        atomic_store(&has_barrier, false);
        return;
    }
    while (!visit_all(clear_lent, NULL)) {
    }
}

void zm_quota_prepare(void)
{
    bool has = zm_os_barrier_in_all_threads() == 0;
    has = has || (zm_os_prepare_barrier() == 0 && zm_os_barrier_in_all_threads() == 0);
    atomic_store(&has_barrier, has);
}

void zm_quota_start_child(void)
{
    atomic_fetch_add(&generation, 1);
    atomic_store(&of_slotless_thread()->reserved, 0);
}
