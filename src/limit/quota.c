/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads' shares of what a limit leaves: each in its slot. */
#include "limit/quota.h"

/* Of threads that have no slot. */
static struct zm_share of_others;

struct zm_share *zm_share_own(void)
{
    struct zm_slot *own = zm_slots_own();
    return own != NULL ? &own->share : &of_others;
}

static void add_allowed(struct zm_slot *slot, void *context)
{
    struct zm_share_sums *sums = context;
    sums->allowed += atomic_load(&slot->share.allowed);
}

static void add_claimed(struct zm_slot *slot, void *context)
{
    struct zm_share_sums *sums = context;
    sums->claimed += atomic_load(&slot->share.claimed);
}

struct zm_share_sums zm_share_sum_all(void)
{
    struct zm_share_sums sums = {0};
    zm_slots_each(add_allowed, &sums);
    zm_slots_each(add_claimed, &sums);
    sums.claimed += atomic_load(&of_others.claimed);
    return sums;
}

static void take_back(struct zm_slot *slot, void *context)
{
    (void) context;
    atomic_store(&slot->share.allowed, 0);
}

void zm_share_take_back_all(void)
{
    zm_slots_each(take_back, NULL);
}

void zm_share_start_child(void)
{
    atomic_store(&of_others.claimed, 0);
}
