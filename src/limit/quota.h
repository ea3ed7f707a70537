/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads' shares of what a limit leaves. */
#ifndef ZM_SHARE_H
#define ZM_SHARE_H

#include "account/slots.h"

#include <stddef.h>

/* This thread's; or, while it has no slot, one that all such threads have in common and that is never allowed any. */
struct zm_share *zm_share_own(void);

/* Sums over all shares. Reads what is allowed first. */
struct zm_share_sums {
    size_t allowed;
    size_t claimed;
};
struct zm_share_sums zm_share_sum_all(void);

/* Sets what is allowed to 0, in all shares. */
void zm_share_take_back_all(void);

/* In a forked child: of the threads without a slot, only this one may be in it, and it claims nothing. */
void zm_share_start_child(void);

#endif
