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

/* The most that a thread has credit for beyond what it asked for, and into how many such steps what is left is cut.
 */
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
    bool idle; /* some are credit that may be taken back */
};

static struct range read_range(void)
{
    struct zm_quota_sums quotas = zm_quota_sum_all(); /* first: what is counted meanwhile is counted twice at most */
    struct zm_reading reading = zm_account_read();
    return (struct range){
        .used = reading.used,
        .least = zm_minus(reading.used, reading.error),
        .most = zm_plus(reading.used, quotas.promised),
        .idle = quotas.idle,
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

/* There is no credit across the soft limit: who crosses it comes by here. */
static size_t next_limit(void)
{
    size_t hard = atomic_load(&hard_limit);
    size_t soft = atomic_load(&crossed) ? NONE : atomic_load(&soft_limit);
    return hard < soft ? hard : soft;
}

/* What is asked for, beside what is reserved for the same block already; and by how much the thread's count will grow
 * in all, which is more if an old block goes. */
struct request {
    size_t bytes;
    size_t before;
    size_t counted;
};

/*
 * What this thread may allocate after this block without asking. Where an old block goes, the new one may turn out
 * smaller than it was claimed: credit that includes it is no more than a step all the same. None for what a signal
 * handler does amid another call, which has reserved bytes, or is about to change the quota too.
 */
static void lend(struct zm_quota *quota, const struct request *request, const struct range *range)
{
    size_t bytes = request->before + request->bytes;
    size_t counted = request->counted;
    size_t step = step_within(next_limit(), zm_plus(range->most, counted - bytes));
    size_t credit = counted == bytes ? zm_plus(counted, step) : counted < step ? step : 0;
    bool is_own = quota == &zm_self.quota && zm_account_is_live() && !zm_self.ends && zm_self.asking == 1;
    if (is_own && step > 0 && credit > 0 && zm_heap_grants() && atomic_load(&quota->reserved) == bytes) {
        zm_quota_lend(quota, credit);
    } else {
        zm_quota_drop(quota);
    }
}

/* Under the lock. */
static enum verdict reserve(struct zm_claim *claim, const struct request *request)
{
    atomic_fetch_add(&claim->quota->reserved, request->bytes);
    struct range range = read_range();
    size_t whole = request->before + request->bytes;
    if (range.idle && weigh(whole, &range) == MAY_FIT) {
        zm_quota_take_back_all();
        range = read_range();
    }
    enum verdict verdict = weigh(whole, &range);
    if (verdict == FITS) {
        watch_soft_limit(claim, &range);
        lend(claim->quota, request, &range);
    } else {
        zm_quota_drop(claim->quota);
        atomic_fetch_sub(&claim->quota->reserved, request->bytes);
    }
    return verdict;
}

/* Around all that changes this thread's quota by several instructions. */
static void begin_to_ask(void)
{
    zm_self.asking++;
    atomic_signal_fence(memory_order_seq_cst);
}

static void end_to_ask(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    zm_self.asking--;
}

/* Safe amid a call that asks: that call gets no credit then. */
static void drop_own(void)
{
    begin_to_ask();
    zm_quota_drop(&zm_self.quota);
    end_to_ask();
}

/* As it is not known what others were granted meanwhile. */
static void take_back(const struct zm_claim *claim, enum verdict verdict)
{
    zm_quota_drop(claim->quota);
    if (verdict == FITS) {
        atomic_fetch_sub(&claim->quota->reserved, claim->bytes);
    }
}

/* Claims the bytes beside those reserved before, for as long as it takes to see whether they fit. */
static enum verdict try_reserve(struct zm_claim *claim, const struct request *request)
{
    for (;;) {
        claim->quota = zm_quota_own(); /* another one, if this is a child by now and the thread has no slot */
        zm_quota_ask(claim->quota);
        uintptr_t token = zm_lock_take(ZM_LOCK_LIMIT);
        enum verdict verdict = reserve(claim, request);
        if (zm_lock_release(ZM_LOCK_LIMIT, token)) {
            return verdict;
        }
        take_back(claim, verdict);
    }
}

static bool grant(struct zm_claim *claim, const struct request *request)
{
    unsigned pauses = 0;
    enum verdict verdict = try_reserve(claim, request);
    while (verdict == MAY_FIT && pauses < PAUSES_AT_MOST) {
        zm_backoff(&pauses);
        verdict = try_reserve(claim, request);
    }
    if (verdict != FITS) {
        claim->quota = NULL;
    }
    return verdict == FITS;
}

/* Where the system has no barrier in all threads: each atomic operation here is one. */
static bool use_credit(struct zm_quota *quota, const struct request *request)
{
    if (atomic_load(&quota->fenced) == 0) {
        return false;
    }
    size_t others = atomic_fetch_add(&quota->reserved, request->bytes) - request->before;
    size_t until = atomic_load(&quota->fenced);
    size_t credit = zm_minus(until, atomic_load_explicit(quota->allocated, memory_order_relaxed));
    if (zm_plus(others, request->counted) < credit) {
        return true;
    }
    atomic_fetch_sub(&quota->reserved, request->bytes);
    return false;
}

static struct zm_claim ask(const struct request *request)
{
    zm_child_check();
    begin_to_ask();
    struct zm_claim claim = {.quota = zm_quota_own(), .bytes = request->bytes, .granted = true};
    if (request->bytes == 0) {
        zm_quota_drop(claim.quota); /* for nothing, but the count will grow past it */
    } else if (!use_credit(claim.quota, request)) {
        claim.granted = grant(&claim, request);
    }
    end_to_ask();
    return claim;
}

/* With something for allocators that don't tell what a block will have. */
static bool claim_at_once(size_t bytes, struct zm_claim *claim)
{
    enum { SLACK = 48 };
    size_t bound = bytes + SLACK;
    if (bytes > ZM_QUOTA_MOST - SLACK || !zm_quota_use(&zm_self, bound)) {
        return false;
    }
    *claim = (struct zm_claim){.quota = &zm_self.quota, .bytes = bound, .granted = true, .at_once = true};
    return true;
}

struct zm_claim zm_limit_claim(size_t bytes, size_t old)
{
    struct zm_claim claim;
    if (claim_at_once(bytes, &claim)) {
        return claim;
    }
    struct request request = {.bytes = zm_minus(bytes, old), .counted = bytes};
    return ask(&request);
}

bool zm_limit_extend(struct zm_claim *claim, size_t bytes, size_t old)
{
    size_t counted = claim->bytes + bytes + (claim->at_once ? 0 : old);
    struct request request = {.bytes = bytes, .before = claim->bytes, .counted = counted};
    struct zm_claim more = ask(&request);
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

void zm_limit_commit(const struct zm_claim *claim, bool is_there)
{
    if (!is_there) {
        drop_own();
    }
    if (claim->at_once) {
        zm_quota_commit(&zm_self, claim->bytes);
    } else {
        atomic_fetch_sub(&claim->quota->reserved, claim->bytes);
    }
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

/* Credit of other limits is taken back. */
static void watch(void)
{
    bool watches = atomic_load(&hard_limit) != NONE || atomic_load(&soft_limit) != NONE;
    zm_child_set_hook(ZM_CHILD_LIMIT, start_child);
    drop_own();
    zm_quota_take_back_all();
    if (watches != zm_limit_is_set()) {
        zm_gate_set(ZM_GATE_LIMIT, watches);
    }
}

int zmalloc_set_limit(size_t bytes)
{
    uintptr_t token;
    zm_child_check();
    zm_quota_prepare();
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
    zm_quota_prepare();
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
