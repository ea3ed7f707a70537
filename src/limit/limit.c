/* SPDX-License-Identifier: BSD-3-Clause */
/* The limits: threads take their quotas of what is left in steps, so that they seldom meet. */
#include "limit/limit.h"

#include "account/account.h"
#include "sync/backoff.h"
#include "sync/callback.h"
#include "util/saturate.h"
#include "zmalloc.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

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
static atomic_bool calling; /* and not again meanwhile, whatever the handler does */

/* Held to set limits and to allow bytes. A fork in another thread may leave it held: it is freed in the child. */
static atomic_flag lock_held = ATOMIC_FLAG_INIT;

static void lock(void)
{
    unsigned pauses = 0;
    while (atomic_flag_test_and_set(&lock_held)) {
        zm_backoff(&pauses);
    }
}

static void unlock(void)
{
    atomic_flag_clear(&lock_held);
}

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
    if (range->used < atomic_load(&lower_mark) && !atomic_load(&calling)) {
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

/* Claims the bytes beside those reserved before, for as long as it takes to see whether they fit. */
static enum verdict try_reserve(struct zm_claim *claim, size_t before)
{
    lock();
    atomic_fetch_add(&claim->quota->reserved, claim->bytes);
    struct range range = read_range();
    if (range.idle && weigh(before + claim->bytes, &range) == MAY_FIT) {
        zm_quota_take_back_all();
        range = read_range();
    }
    enum verdict verdict = weigh(before + claim->bytes, &range);
    if (verdict == FITS) {
        watch_soft_limit(claim, &range);
        if (zm_account_is_live()) {
            atomic_fetch_add(&claim->quota->credit, step_within(next_limit(), range.most));
        }
    } else {
        atomic_fetch_sub(&claim->quota->reserved, claim->bytes);
    }
    unlock();
    return verdict;
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
        claim->bytes += more.bytes;
        claim->may_cross |= more.may_cross;
    }
    return more.granted;
}

static void call_back(size_t used)
{
    const struct zm_callback *callback = atomic_load(&pressure);
    if (callback == NULL || atomic_exchange(&calling, true)) {
        return;
    }
    if (!atomic_exchange(&crossed, true)) {
        ((void (*)(size_t, void *)) callback->function)(used, callback->context);
    }
    atomic_store(&calling, false);
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

/* Who held the lock, or was in the handler, is not there. */
static void start_child(void)
{
    unlock();
    atomic_store(&calling, false);
    zm_quota_start_child();
}

/* Before the first limit is set, nothing here costs anything. */
static bool prepare_for_forks(void)
{
    static bool prepared;
    prepared = prepared || pthread_atfork(NULL, NULL, start_child) == 0;
    return prepared;
}

/* What was credit by other limits is taken back. */
static void watch(void)
{
    bool watches = atomic_load(&hard_limit) != NONE || atomic_load(&soft_limit) != NONE;
    zm_quota_take_back_all();
    if (watches != zm_limit_is_set()) {
        zm_gate_set(ZM_GATE_LIMIT, watches);
    }
}

int zmalloc_set_limit(size_t bytes)
{
    lock();
    bool prepared = prepare_for_forks();
    if (prepared) {
        atomic_store(&hard_limit, bytes != 0 ? bytes : NONE);
        watch();
    }
    unlock();
    return prepared ? 0 : -ENOMEM;
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
    lock();
    bool prepared = prepare_for_forks();
    if (prepared) {
        atomic_store(&soft_limit, bytes != 0 ? bytes : NONE);
        atomic_store(&lower_mark, zm_minus(bytes, hysteresis));
        atomic_store(&pressure, callback);
        atomic_store(&crossed, false);
        watch();
    }
    unlock();
    return prepared ? 0 : -ENOMEM;
}

size_t zmalloc_soft_limit(void)
{
    size_t limit = atomic_load(&soft_limit);
    return limit != NONE ? limit : 0;
}
