/* SPDX-License-Identifier: BSD-3-Clause */
/* The limits: threads take their quotas of what is left in steps, so that they seldom meet. */
#include "limit/limit.h"

#include "account/account.h"
#include "account/fork.h"
#include "sync/backoff.h"
#include "sync/callback.h"
#include "sync/child.h"
#include "util/saturate.h"
#include "zmalloc.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

/* The most that a thread is credit beyond what it asked for, and into how many such steps what is left is cut. */
enum { LARGEST_STEP = 64 << 10, STEPS = 32 };

/* How often a request that may or may not fit waits for others' claims: yields, then some sleeps. */
enum { PAUSES_AT_MOST = 120 };

#define NONE SIZE_MAX

static _Atomic size_t hard_limit = NONE;
static _Atomic size_t soft_limit = NONE;
static _Atomic size_t lower_mark; /* below this the soft limit may be crossed anew */
static _Atomic(const struct zm_callback *) pressure;
static atomic_bool crossed;
static _Atomic(const struct zm_thread *) caller; /* of the handler: not again meanwhile, whatever it does */

/*
 * Bytes in use, and with those promised: no less than least when this is read, and no more than most whatever others
 * do meanwhile.
 */
struct range {
    size_t used;
    size_t least;
    size_t most;
    bool idle; /* some are credit, and not used yet */
};

static struct range read_range(void)
{
    struct zm_quota_sums quotas = zm_quota_sum_all(); /* first: see zm_quota */
    struct zm_reading reading = zm_account_read();
    return (struct range){
        .used = reading.used,
        .least = zm_minus(reading.used, reading.error),
        .most = zm_plus(reading.used, zm_plus(quotas.credit, quotas.reserved)),
        .idle = quotas.credit > 0,
    };
}

/* What is left is cut small near a limit, so that little lies idle there. */
static size_t step_within(size_t limit, size_t most)
{
    size_t step = zm_minus(limit, most) / STEPS;
    return step < LARGEST_STEP ? step : LARGEST_STEP;
}

enum verdict { FITS, MAY_FIT, TOO_MUCH };

/* What this call claims is among the most, but not among the least. */
static enum verdict weigh(size_t reserved, const struct range *range)
{
    size_t limit = atomic_load(&hard_limit);
    if (range->most <= limit) {
        return FITS;
    }
    return zm_plus(range->least, reserved) > limit ? TOO_MUCH : MAY_FIT;
}

/* As the bytes in use are known here, it is seen here when they have become few again. */
static void watch_soft_limit(struct zm_claim *claim, const struct range *range)
{
    if (range->used < atomic_load(&lower_mark) && atomic_load(&caller) == NULL) {
        atomic_store(&crossed, false);
    }
    claim->may_cross = !atomic_load(&crossed) && range->most > atomic_load(&soft_limit);
}

/* Nothing is credit across the soft limit: who crosses it comes by here. */
static size_t next_limit(void)
{
    size_t hard = atomic_load(&hard_limit);
    size_t soft = atomic_load(&crossed) ? NONE : atomic_load(&soft_limit);
    return hard < soft ? hard : soft;
}

/* Under the lock. */
static enum verdict reserve(struct zm_claim *claim, size_t before, size_t *step)
{
    atomic_fetch_add(&claim->quota->reserved, claim->bytes);
    struct range range = read_range();
    if (range.idle && weigh(before + claim->bytes, &range) == MAY_FIT) {
        zm_quota_take_back_all();
        range = read_range();
    }
    enum verdict verdict = weigh(before + claim->bytes, &range);
    if (verdict == FITS) {
        watch_soft_limit(claim, &range);
        *step = zm_account_is_live() ? step_within(next_limit(), range.most) : 0;
        atomic_fetch_add(&claim->quota->credit, *step);
    } else {
        atomic_fetch_sub(&claim->quota->reserved, claim->bytes);
    }
    return verdict;
}

/* As it is not known what others were granted meanwhile. */
static void take_back(const struct zm_claim *claim, enum verdict verdict, size_t step)
{
    if (step > 0) {
        atomic_store(&claim->quota->credit, 0);
    }
    if (verdict == FITS) {
        atomic_fetch_sub(&claim->quota->reserved, claim->bytes);
    }
}

/* Claims the bytes beside those reserved before, for as long as it takes to see whether they fit. */
static enum verdict try_reserve(struct zm_claim *claim, size_t before)
{
    for (;;) {
        size_t step = 0;
        claim->quota = zm_quota_own(); /* another one, if this is a child by now and the thread has no slot */
        uintptr_t token = zm_lock_take(ZM_LOCK_LIMIT);
        enum verdict verdict = reserve(claim, before, &step);
        if (zm_lock_release(ZM_LOCK_LIMIT, token)) {
            return verdict;
        }
        take_back(claim, verdict, step);
    }
}

static void grant(struct zm_claim *claim, size_t before)
{
    unsigned pauses = 0;
    enum verdict verdict = try_reserve(claim, before);
    while (verdict == MAY_FIT && pauses < PAUSES_AT_MOST) {
        zm_backoff(&pauses);
        verdict = try_reserve(claim, before);
    }
    claim->granted = verdict == FITS;
    if (!claim->granted) {
        claim->quota = NULL;
    }
}

/* Uses up what this thread was credit, if it is enough. */
static bool use_credit(struct zm_quota *quota, size_t bytes)
{
    size_t credit = atomic_load(&quota->credit);
    if (credit < bytes) {
        return false;
    }
    atomic_fetch_add(&quota->reserved, bytes);
    while (credit >= bytes) {
        if (atomic_compare_exchange_weak(&quota->credit, &credit, credit - bytes)) {
            return true;
        }
    }
    atomic_fetch_sub(&quota->reserved, bytes);
    return false;
}

static struct zm_claim claim_beside(size_t before, size_t bytes)
{
    zm_child_check();
    struct zm_claim claim = {.quota = zm_quota_own(), .bytes = bytes};
    if (bytes == 0 || use_credit(claim.quota, bytes)) {
        claim.granted = true;
    } else {
        grant(&claim, before);
    }
    return claim;
}

struct zm_claim zm_limit_claim(size_t bytes)
{
    return claim_beside(0, bytes);
}

bool zm_limit_extend(struct zm_claim *claim, size_t bytes)
{
    struct zm_claim more = claim_beside(claim->bytes, bytes);
    if (more.granted) {
        if (more.quota != claim->quota) {
            atomic_fetch_add(&claim->quota->reserved, more.bytes);
            atomic_fetch_sub(&more.quota->reserved, more.bytes);
        }
        claim->bytes += more.bytes;
        claim->may_cross |= more.may_cross;
    }
    return more.granted;
}

static void call_back(size_t used)
{
    const struct zm_callback *callback = atomic_load(&pressure);
    const struct zm_thread *nobody = NULL;
    if (callback == NULL || !atomic_compare_exchange_strong(&caller, &nobody, &zm_self)) {
        return;
    }
    if (!atomic_exchange(&crossed, true)) {
        ((void (*)(size_t, void *)) callback->function)(used, callback->context);
    }
    atomic_store(&caller, NULL);
}

void zm_limit_commit(const struct zm_claim *claim)
{
    atomic_fetch_sub(&claim->quota->reserved, claim->bytes);
    if (claim->may_cross) {
        size_t used = zm_account_used();
        if (used > atomic_load(&soft_limit)) {
            call_back(used);
        }
    }
}

/* Who was in the handler may not be there. */
static void start_child(struct zm_child_stage stage)
{
    const struct zm_thread *before = atomic_load(&caller);
    if (before != NULL && zm_fork_has_ended(before, stage)) {
        atomic_compare_exchange_strong(&caller, &before, NULL);
    }
    if (stage.first) {
        zm_quota_start_child();
    }
}

/* What was credit by other limits is taken back. */
static void watch(void)
{
    bool watches = atomic_load(&hard_limit) != NONE || atomic_load(&soft_limit) != NONE;
    zm_child_set_hook(ZM_CHILD_LIMIT, start_child);
    zm_quota_take_back_all();
    if (watches != zm_limit_is_set()) {
        zm_gate_set(ZM_GATE_LIMIT, watches);
    }
}

int zmalloc_set_limit(size_t bytes)
{
    uintptr_t token;
    zm_child_check();
    do {
        token = zm_lock_take(ZM_LOCK_LIMIT);
        atomic_store(&hard_limit, bytes != 0 ? bytes : NONE);
        watch();
    } while (!zm_lock_release(ZM_LOCK_LIMIT, token));
    return 0;
}

size_t zmalloc_limit(void)
{
    size_t limit = atomic_load(&hard_limit);
    return limit != NONE ? limit : 0;
}

int zmalloc_set_soft_limit(size_t bytes, size_t hysteresis, void (*handler)(size_t used, void *context),
                           void *context)
{
    if (bytes != 0 && (handler == NULL || hysteresis > bytes)) {
        return -EINVAL;
    }
    const struct zm_callback *callback = bytes != 0 ? zm_callback((void (*)(void)) handler, context) : NULL;
    if (bytes != 0 && callback == NULL) {
        return -ENOMEM;
    }
    uintptr_t token;
    zm_child_check();
    do {
        token = zm_lock_take(ZM_LOCK_LIMIT);
        atomic_store(&soft_limit, bytes != 0 ? bytes : NONE);
        atomic_store(&lower_mark, zm_minus(bytes, hysteresis));
        atomic_store(&pressure, callback);
        atomic_store(&crossed, false);
        watch();
    } while (!zm_lock_release(ZM_LOCK_LIMIT, token));
    return 0;
}

size_t zmalloc_soft_limit(void)
{
    size_t limit = atomic_load(&soft_limit);
    return limit != NONE ? limit : 0;
}
