/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads' quotas of what a limit leaves: each in its slot. */
#include "limit/quota.h"

/*
 * Of threads that have no slot. A child takes another one: what its own thread may have reserved in the parent's, in
 * a call that a signal handler has interrupted to fork, is taken off there.
 */
enum { GENERATIONS = 8 };
static struct zm_quota of_slotless_threads[GENERATIONS];
static atomic_uint generation;

static struct zm_quota *of_slotless_thread(void)
{
    return &of_slotless_threads[atomic_load(&generation) % GENERATIONS];
}

struct zm_quota *zm_quota_own(void)
{
    struct zm_slot *own = zm_slots_own();
    return own != NULL ? &own->quota : of_slotless_thread();
}

static void add_credit(struct zm_slot *slot, void *context)
{
    struct zm_quota_sums *sums = context;
    sums->credit += atomic_load(&slot->quota.credit);
}

static void add_reserved(struct zm_slot *slot, void *context)
{
    struct zm_quota_sums *sums = context;
    sums->reserved += atomic_load(&slot->quota.reserved);
}

struct zm_quota_sums zm_quota_sum_all(void)
{
    struct zm_quota_sums sums = {0};
    zm_slots_each(add_credit, &sums);
    zm_slots_each(add_reserved, &sums);
    sums.reserved += atomic_load(&of_slotless_thread()->reserved);
    return sums;
}

static void take_back(struct zm_slot *slot, void *context)
{
    (void) context;
    atomic_store(&slot->quota.credit, 0);
}

void zm_quota_take_back_all(void)
{
    zm_slots_each(take_back, NULL);
}

void zm_quota_start_child(void)
{
    atomic_fetch_add(&generation, 1);
    zm_quota_clear(of_slotless_thread());
}
