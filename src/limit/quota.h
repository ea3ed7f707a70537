/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads' quotas of what a limit leaves. */
#ifndef ZM_QUOTA_H
#define ZM_QUOTA_H

#include "account/slots.h"

#include <stddef.h>

/* This thread's; or, while it has no slot, one that all such threads share and that never has credit. */
struct zm_quota *zm_quota_own(void);

/* Sums over all quotas. Reads credit first. */
struct zm_quota_sums {
    size_t credit;
    size_t reserved;
};
struct zm_quota_sums zm_quota_sum_all(void);

/* Sets the credit of all quotas to 0. */
void zm_quota_take_back_all(void);

/* In a forked child: what threads without a slot had reserved does not count any more. */
void zm_quota_start_child(void);

#endif
