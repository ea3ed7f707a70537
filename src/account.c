/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads' slots: where they come from, how a thread gets and leaves one, and how they are read. */
#include "account.h"

#include "follower.h"
#include "os/os.h"

#include <pthread.h>
#include <stdint.h>

enum { SLOTS_AT_START = 32, SLOTS_A_CHUNK = 256 };

/* When a reader is content with a sum, in bytes that others freed during it, and when it gives up. */
enum { TOLERANCE = 4096, PASSES_AT_MOST = 8 };

/*
 * What follows a thread. A slot outlives its thread, sums included, and then serves another: there are as many as
 * threads that lived at once. Sums and differences are taken modulo 2^N: they may wrap, the bytes in use are right.
 */
struct slot {
    _Alignas(128) struct zm_follower follower;
    atomic_bool taken;
    _Atomic(struct zm_thread *) thread; /* while it is live */
    struct zm_share share;
};

/* Slots come in chunks that are never given back. The first is static: a thread can count before any mapping. */
struct chunk {
    struct slot *slots;
    size_t length;
    _Atomic size_t used; /* no slot from here on was ever taken */
    _Atomic(struct chunk *) next;
};

struct mapped_chunk {
    struct slot slots[SLOTS_A_CHUNK];
    struct chunk chunk;
};

static struct slot slots_at_start[SLOTS_AT_START];
static struct chunk first_chunk = {.slots = slots_at_start, .length = SLOTS_AT_START};

/* Counts of threads that are not live: not yet registered, ending, or past what memory or keys allow. */
static _Atomic size_t shared_allocated;
static _Atomic size_t shared_freed;

/* Of threads that are not live. */
static struct zm_share shared_share;

/* Whether a limit needs to see all allocations. */
static atomic_bool detours_all;

/* The most bytes in use that a reader found. */
static _Atomic size_t peak;

_Thread_local struct zm_thread zm_self = {.detour = ZM_NOT_LIVE};

/* This thread's slot, also while it is only about to get it or to give it back: a fork may come in between. */
static _Thread_local struct slot *own_slot;

/* Set for good when a thread gives its slot back. */
static _Thread_local bool ending;

static pthread_key_t key;
static bool ready;

static bool take(struct slot *slot)
{
    return !atomic_load_explicit(&slot->taken, memory_order_relaxed) &&
           !atomic_exchange_explicit(&slot->taken, true, memory_order_acquire);
}

static void raise_to(_Atomic size_t *highest, size_t value)
{
    size_t old = atomic_load_explicit(highest, memory_order_relaxed);
    while (old < value && !atomic_compare_exchange_weak(highest, &old, value)) {
    }
}

static struct slot *take_one_of(struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->length; i++) {
        own_slot = &chunk->slots[i];
        if (take(own_slot)) {
            raise_to(&chunk->used, i + 1);
            return own_slot;
        }
    }
    return own_slot = NULL;
}

static struct chunk *next_chunk(const struct chunk *chunk)
{
    return atomic_load_explicit(&chunk->next, memory_order_acquire);
}

/* Adds a chunk behind the last one, or takes the one that another thread has just added. */
static struct chunk *add_chunk(struct chunk *last)
{
    struct mapped_chunk *mapped = zm_os_map(sizeof(*mapped));
    if (mapped == NULL) {
        return NULL;
    }
    mapped->chunk.slots = mapped->slots;
    mapped->chunk.length = SLOTS_A_CHUNK;

    struct chunk *other = NULL;
    if (!atomic_compare_exchange_strong(&last->next, &other, &mapped->chunk)) {
        zm_os_unmap(mapped, sizeof(*mapped));
        return other;
    }
    return &mapped->chunk;
}

static struct slot *take_slot(void)
{
    for (struct chunk *chunk = &first_chunk; chunk != NULL;) {
        struct slot *slot = take_one_of(chunk);
        if (slot != NULL) {
            return slot;
        }
        struct chunk *next = next_chunk(chunk);
        chunk = next != NULL ? next : add_chunk(chunk);
    }
    return NULL;
}

static void set_free(struct slot *slot)
{
    atomic_store_explicit(&slot->taken, false, memory_order_release);
}

static void give_own_back(void)
{
    set_free(own_slot);
    own_slot = NULL;
}

static bool find_counters(const _Atomic size_t **allocated, const _Atomic size_t **freed)
{
    if (ZM_COUNTED_BY_ALLOCATOR) {
        return zm_allocator_thread_counters(allocated, freed) == 0;
    }
    *allocated = &zm_self.allocated;
    *freed = &zm_self.freed;
    return true;
}

static size_t usual_detour(void)
{
    return ZM_COUNTED_BY_ALLOCATOR || zm_heap_grants() ? ZM_HEAP_UNALIGNED_UP_TO : ZM_ALL_BUT_LIVE;
}

/* Never touches that of a thread that is not live, or not any more. */
static void set_detour(struct zm_thread *thread, bool all)
{
    size_t usual = usual_detour();
    size_t from = all ? usual : ZM_ALL_BUT_LIVE;
    size_t to = all ? ZM_ALL_BUT_LIVE : usual;
    __atomic_compare_exchange_n(&thread->detour, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Who sets detours_all meanwhile either finds this thread live, or is seen here. */
static void go_live(struct slot *slot)
{
    __atomic_store_n(&zm_self.detour, usual_detour(), __ATOMIC_SEQ_CST);
    atomic_store(&slot->thread, &zm_self);
    bool all = false;
    while (all != atomic_load(&detours_all)) {
        all = !all;
        set_detour(&zm_self, all);
    }
}

/* Makes this thread live, if it can be told when it ends. */
static void register_thread(void)
{
    const _Atomic size_t *allocated;
    const _Atomic size_t *freed;
    if (!ready || ending || !find_counters(&allocated, &freed)) {
        return;
    }
    struct slot *slot = take_slot();
    if (slot == NULL) {
        return;
    }
    if (pthread_setspecific(key, slot) != 0) {
        give_own_back();
        return;
    }
    zm_follower_start(&slot->follower, allocated, freed);
    go_live(slot);
}

/* What others may want of the slot's thread. */
static void clear(struct slot *slot)
{
    atomic_store(&slot->thread, NULL);
    atomic_store(&slot->share.allowed, 0);
    atomic_store(&slot->share.claimed, 0);
}

static void end_thread(void *own)
{
    struct slot *slot = own;
    ending = true;
    __atomic_store_n(&zm_self.detour, ZM_NOT_LIVE, __ATOMIC_SEQ_CST);
    clear(slot);
    zm_follower_stop(&slot->follower);
    give_own_back();
}

/* The other threads are not in the child. What they counted stays; their slots are free. */
static void start_child(void)
{
    zm_follower_start_child();
    atomic_store(&shared_share.claimed, 0);
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = next_chunk(chunk)) {
        for (size_t i = 0; i < chunk->length; i++) {
            struct slot *slot = &chunk->slots[i];
            if (slot != own_slot && slot->taken) {
                zm_follower_stop_in_child(&slot->follower);
                clear(slot);
                set_free(slot);
            }
        }
    }
}

__attribute__((constructor)) static void start(void)
{
    /* An allocator may need a key too, and can do less than we without one: it goes first. */
    zm_allocator_free(zm_allocator_allocate(1));
    ready = pthread_key_create(&key, end_thread) == 0 && pthread_atfork(NULL, NULL, start_child) == 0;
}

void zm_account_allocated_when_not_live(size_t bytes)
{
    atomic_fetch_add_explicit(&shared_allocated, bytes, memory_order_relaxed);
    zm_account_allocated_when_live(bytes); /* for this thread's own readings */
    register_thread();                     /* from the next block on */
}

/* Never registers: the C library itself frees after the last round of key destructors. */
void zm_account_freed_when_not_live(size_t bytes)
{
    atomic_fetch_add_explicit(&shared_freed, bytes, memory_order_release);
    zm_account_freed_when_live(bytes);
}

size_t zm_account_thread_allocated(void)
{
    const _Atomic size_t *allocated;
    const _Atomic size_t *freed;
    return find_counters(&allocated, &freed) ? atomic_load_explicit(allocated, memory_order_relaxed) : 0;
}

size_t zm_account_thread_freed(void)
{
    const _Atomic size_t *allocated;
    const _Atomic size_t *freed;
    return find_counters(&allocated, &freed) ? atomic_load_explicit(freed, memory_order_relaxed) : 0;
}

static size_t sum_allocated(void)
{
    size_t total = atomic_load_explicit(&shared_allocated, memory_order_relaxed);
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = next_chunk(chunk)) {
        size_t used = atomic_load_explicit(&chunk->used, memory_order_acquire);
        for (size_t i = 0; i < used; i++) {
            total += zm_follower_allocated(&chunk->slots[i].follower);
        }
    }
    return total;
}

static size_t sum_freed(void)
{
    size_t total = atomic_load_explicit(&shared_freed, memory_order_acquire);
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = next_chunk(chunk)) {
        size_t used = atomic_load_explicit(&chunk->used, memory_order_acquire);
        for (size_t i = 0; i < used; i++) {
            total += zm_follower_freed(&chunk->slots[i].follower);
        }
    }
    return total;
}

/*
 * An allocator that counts by itself does not release what it counts: a difference can be a little below zero. Very
 * little: only small blocks come and go without a lock, and a process of 32 bits can have nearly all of its 4 GiB in
 * use.
 */
static size_t not_below_zero(size_t difference)
{
    return difference < SIZE_MAX - SIZE_MAX / 1024 ? difference : 0;
}

/*
 * Threads go on while they are summed, and a reader may lose the processor in the middle. Freed is summed before
 * and after allocated: what lies between the two is how far off the difference may be. The best of a few passes
 * is kept.
 */
static struct zm_reading sum_used(void)
{
    struct zm_reading best = {.error = SIZE_MAX};

    size_t freed = sum_freed();
    for (int pass = 0; pass < PASSES_AT_MOST && best.error > TOLERANCE; pass++) {
        size_t allocated = sum_allocated();
        size_t freed_after = sum_freed();
        if (freed_after - freed < best.error) {
            best = (struct zm_reading){.used = not_below_zero(allocated - freed), .error = freed_after - freed};
        }
        freed = freed_after;
    }
    return best;
}

static size_t visit(size_t (*sum)(void))
{
    struct zm_visit visit = zm_follower_enter();
    size_t total = sum();
    zm_follower_leave(visit);
    return total;
}

struct zm_reading zm_account_read(void)
{
    struct zm_visit own = zm_follower_enter();
    struct zm_reading reading = sum_used();
    zm_follower_leave(own);
    return reading;
}

size_t zm_account_used(void)
{
    size_t used = zm_account_read().used;
    raise_to(&peak, used);
    return used;
}

size_t zm_account_peak(void)
{
    zm_account_used();
    return atomic_load(&peak);
}

void zm_account_reset_peak(void)
{
    atomic_store(&peak, zm_account_read().used);
}

size_t zm_account_total_allocated(void)
{
    return visit(sum_allocated);
}

size_t zm_account_total_freed(void)
{
    return visit(sum_freed);
}

struct zm_share *zm_account_own_share(void)
{
    return zm_account_is_live() ? &own_slot->share : &shared_share;
}

static void each_slot(void (*look)(struct slot *slot, void *context), void *context)
{
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = next_chunk(chunk)) {
        size_t used = atomic_load(&chunk->used); /* in one order with detours_all */
        for (size_t i = 0; i < used; i++) {
            look(&chunk->slots[i], context);
        }
    }
}

static void add_allowed(struct slot *slot, void *context)
{
    struct zm_share_sums *sums = context;
    sums->allowed += atomic_load(&slot->share.allowed);
}

static void add_claimed(struct slot *slot, void *context)
{
    struct zm_share_sums *sums = context;
    sums->claimed += atomic_load(&slot->share.claimed);
}

struct zm_share_sums zm_account_sum_shares(void)
{
    struct zm_share_sums sums = {0};
    each_slot(add_allowed, &sums);
    each_slot(add_claimed, &sums);
    sums.claimed += atomic_load(&shared_share.claimed);
    return sums;
}

static void take_back(struct slot *slot, void *context)
{
    (void) context;
    atomic_store(&slot->share.allowed, 0);
}

void zm_account_take_shares_back(void)
{
    each_slot(take_back, NULL);
}

static void detour_if_live(struct slot *slot, void *context)
{
    const bool *all = context;
    struct zm_thread *thread = atomic_load(&slot->thread);
    if (thread != NULL) {
        set_detour(thread, *all);
    }
}

void zm_account_detour_all(bool all)
{
    atomic_store(&detours_all, all);
    struct zm_visit own = zm_follower_enter(); /* a thread that ends waits until it is not looked at any more */
    each_slot(detour_if_live, &all);
    zm_follower_leave(own);
}
