/* SPDX-License-Identifier: BSD-3-Clause */
/* How a thread registers and ends, and how the counters of all threads are read. */
#include "account/account.h"

#include "account/fork.h"
#include "account/readers.h"
#include "account/roster.h"
#include "account/slots.h"
#include "sync/atomic_max.h"
#include "sync/child.h"
#include "sync/plain.h"

#include <pthread.h>
#include <stdint.h>

/* Most readings have no need of it: not inlined where it is called. */
#define KEPT_OUT __attribute__((noinline))

/* When a reader is content with a sum, in bytes that others freed during it, and when it gives up. */
enum { TOLERANCE = 4096, PASSES_AT_MOST = 8 };

/*
 * Counts of threads that are not live: not yet registered, ending, or past what memory or keys allow. As
 * all sums and differences they are taken modulo 2^N: they may wrap, the bytes in use are right.
 */
static _Atomic size_t shared_allocated;
static _Atomic size_t shared_freed;

/* The most bytes in use that a reader found. */
static _Atomic size_t peak;

static pthread_key_t key;
static bool ready;

static bool find_counters(const _Atomic size_t **allocated, const _Atomic size_t **freed)
{
    if (ZM_COUNTED_BY_ALLOCATOR) {
        return zm_allocator_thread_counters(allocated, freed) == 0;
    }
    *allocated = &zm_self.allocated;
    *freed = &zm_self.freed;
    return true;
}

static void get_slot(const _Atomic size_t *allocated, const _Atomic size_t *freed)
{
    struct zm_slot *slot = zm_slots_take();
    if (slot == NULL) {
        return;
    }
    if (pthread_setspecific(key, slot) != 0) {
        zm_slots_give_back();
        return;
    }
    zm_self.quota.allocated = allocated;
    zm_counters_attach(&slot->counters, allocated, freed, ZM_COUNTED_BY_ALLOCATOR ? &zm_self : NULL);
    zm_child_new_stamp();
    zm_gate_go_live(slot);
    zm_counters_set_steady(&slot->counters, true);
}

/* If it can be told when the thread ends. A call that comes in between counts as not live. */
void zm_account_register(void)
{
    const _Atomic size_t *allocated;
    const _Atomic size_t *freed;
    if (!ready || zm_self.ends || zm_self.registers) {
        return;
    }
    zm_self.registers = true;
    atomic_signal_fence(memory_order_seq_cst);
    zm_child_check();
    if (zm_slots_own() == NULL && find_counters(&allocated, &freed)) { /* a handler may have registered it just now */
        get_slot(allocated, freed);
    }
    atomic_signal_fence(memory_order_seq_cst);
    zm_self.registers = false;
}

/*
 * Not told by the key's value whose end it is: glibc leaves a thread's values where they are if another thread forks
 * while it is in a destructor, and in the child a new thread may find them as its own.
 */
static void end_thread(void *value)
{
    (void) value;
    zm_self.ends = true;
    zm_child_check();
    struct zm_slot *slot = zm_slots_own();
    if (slot == NULL) {
        return;
    }
    zm_counters_set_steady(&slot->counters, false);
    zm_child_new_stamp();
    zm_quota_drop(&zm_self.quota); /* and it gets none any more */
    zm_gate_leave(slot);
    zm_counters_detach(&slot->counters);
    zm_slots_give_back();
}

__attribute__((constructor)) static void start(void)
{
    /* An allocator may need a key too, and can do less than we without one: it goes first. And it is asked for a
     * size, which the first time may be another thing than later. */
    void *block = zm_allocator_allocate(1);
    zm_allocator_usable_size(block);
    zm_allocator_free(block);
    ready = pthread_key_create(&key, end_thread) == 0 && zm_fork_start() == 0;
}

void zm_account_allocated_when_not_live(size_t bytes)
{
    atomic_fetch_add_explicit(&shared_allocated, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&zm_self.allocated_apart, bytes, memory_order_relaxed);
}

/* To free never registers: the C library itself frees after the last round of key destructors. */
void zm_account_freed_when_not_live(size_t bytes)
{
    atomic_fetch_add_explicit(&shared_freed, bytes, memory_order_release);
    atomic_fetch_add_explicit(&zm_self.freed_apart, bytes, memory_order_relaxed);
}

bool zm_account_begin_to_free(void)
{
    if (zm_self.registers) {
        return false;
    }
    zm_self.registers = true;
    atomic_signal_fence(memory_order_seq_cst);
    if (zm_account_is_live()) { /* by a handler that came just before */
        zm_self.registers = false;
    }
    return zm_self.registers;
}

void zm_account_end_to_free(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    zm_self.registers = false;
}

void zm_account_freed_before_live(size_t bytes)
{
    atomic_fetch_add_explicit(&shared_freed, bytes, memory_order_release);
}

static size_t by_this_thread(const _Atomic size_t *live, const _Atomic size_t *apart)
{
    size_t bytes = atomic_load_explicit(live, memory_order_relaxed);
    return ZM_COUNTED_BY_ALLOCATOR ? bytes : bytes + atomic_load_explicit(apart, memory_order_relaxed);
}

size_t zm_account_thread_allocated(void)
{
    const _Atomic size_t *allocated;
    const _Atomic size_t *freed;
    return find_counters(&allocated, &freed) ? by_this_thread(allocated, &zm_self.allocated_apart) : 0;
}

size_t zm_account_thread_freed(void)
{
    const _Atomic size_t *allocated;
    const _Atomic size_t *freed;
    return find_counters(&allocated, &freed) ? by_this_thread(freed, &zm_self.freed_apart) : 0;
}

static void add_allocated(struct zm_slot *slot, void *total)
{
    *(size_t *) total += zm_counters_allocated(&slot->counters);
}

/* By the roster; or, without one, slot by slot. Then what a roster has apart from its counters is in the sums too. */
static size_t sum_allocated(const struct zm_roster *roster)
{
    size_t total = atomic_load_explicit(&shared_allocated, memory_order_relaxed);
    if (roster != NULL) {
        return total + zm_roster_sum(roster, false);
    }
    zm_slots_each(add_allocated, &total);
    return total;
}

static void add_freed(struct zm_slot *slot, void *total)
{
    *(size_t *) total += zm_counters_freed(&slot->counters);
}

static size_t sum_freed(const struct zm_roster *roster)
{
    size_t total = atomic_load_explicit(&shared_freed, memory_order_acquire);
    if (roster != NULL) {
        return total + zm_roster_sum(roster, true);
    }
    zm_slots_each(add_freed, &total);
    return total;
}

/*
 * An allocator that counts by itself does not release what it counts: a difference can be a little below zero. Very
 * little: only small blocks come and go without a lock. A process of 32 bits can have nearly all of its 4 GiB in use,
 * but never their last MiB: jemalloc keeps at least 2 MiB for itself. What is counted here is released, so there a
 * process of 32 bits can have the last bytes in use.
 */
static size_t not_below_zero(size_t difference)
{
    if (!ZM_COUNTED_BY_ALLOCATOR && SIZE_MAX == UINT32_MAX) {
        return difference;
    }
    return difference < SIZE_MAX - SIZE_MAX / 4096 ? difference : 0;
}

/*
 * Threads go on while they are summed, and a reader may lose the processor in the middle. Freed is summed before
 * and after allocated: what lies between the two is how far off the difference may be. The best of a few passes
 * is kept.
 */
static KEPT_OUT struct zm_reading sum_used(const struct zm_roster *roster)
{
    struct zm_reading best = {.error = SIZE_MAX};
    size_t before = roster != NULL ? roster->used_before : 0;

    size_t freed = sum_freed(roster);
    for (int pass = 0; pass < PASSES_AT_MOST && best.error > TOLERANCE; pass++) {
        size_t allocated = before + sum_allocated(roster);
        size_t freed_after = sum_freed(roster);
        if (freed_after - freed < best.error) {
            best = (struct zm_reading){.used = not_below_zero(allocated - freed), .error = freed_after - freed};
        }
        freed = freed_after;
    }
    return best;
}

/* If this thread alone is living, its next readings need no roster. A signal handler may come in between. */
static KEPT_OUT void note_if_alone(struct zm_roster roster)
{
    if (roster.only != zm_slots_own() || zm_self.notes) {
        return;
    }
    zm_self.notes = true;
    atomic_signal_fence(memory_order_seq_cst);
    zm_self.alone_stamp = ZM_NEVER_A_STAMP;
    atomic_signal_fence(memory_order_seq_cst);
    zm_self.used_before = roster.used_before;
    atomic_signal_fence(memory_order_seq_cst);
    zm_self.alone_stamp = roster.stamp;
    atomic_signal_fence(memory_order_seq_cst);
    zm_self.notes = false;
}

/* By a copy: what a function is given the address of is kept in memory. */
static KEPT_OUT struct zm_reading sum_by_copy(size_t length, size_t used_before)
{
    const struct zm_roster roster = {.length = length, .used_before = used_before};
    return sum_used(&roster);
}

/* Mostly nobody frees anything meanwhile, and one pass is exact. */
static inline __attribute__((always_inline)) struct zm_reading sum_by_roster(void)
{
    struct zm_roster roster;
    struct zm_reading reading = {.error = 0};
    if (!zm_roster_get(&roster)) {
        return sum_used(NULL);
    }
    size_t freed = zm_plain_load(&shared_freed) + zm_roster_sum(&roster, true);
    size_t allocated = zm_plain_load(&shared_allocated) + zm_roster_sum(&roster, false);
    size_t freed_after = zm_plain_load(&shared_freed) + zm_roster_sum(&roster, true);
    if (ZM_LIKELY(freed_after == freed)) {
        reading.used = not_below_zero(roster.used_before + allocated - freed);
    } else {
        reading = sum_by_copy(roster.length, roster.used_before);
    }
    if (!ZM_LIKELY(zm_roster_holds(&roster))) {
        return sum_used(NULL);
    }
    if (roster.only != NULL) {
        note_if_alone(roster);
    }
    return reading;
}

/* The counters that this thread has attached. */
static inline struct zm_base own_counters(void)
{
    return ZM_COUNTED_BY_ALLOCATOR
               ? *zm_counters_own(&atomic_load_explicit(&zm_self.slot, memory_order_relaxed)->counters)
               : (struct zm_base){.allocated = &zm_self.allocated, .freed = &zm_self.freed};
}

/*
 * The only living thread looks at nothing but its own counters and the shared ones, so nobody has to wait for it.
 * False: it is not the only one, or something was freed meanwhile, by a signal handler or on the shared counters.
 */
static inline bool read_alone(size_t *used)
{
    size_t stamp = zm_child_stamp();
    if (stamp != zm_self.alone_stamp) {
        return false;
    }
    const struct zm_base own = own_counters();
    size_t freed = zm_plain_load(&shared_freed) + zm_plain_load(own.freed);
    atomic_signal_fence(memory_order_seq_cst);
    size_t allocated = zm_plain_load(&shared_allocated) + zm_plain_load(own.allocated);
    atomic_signal_fence(memory_order_seq_cst);
    size_t freed_after = zm_plain_load(&shared_freed) + zm_plain_load(own.freed);
    atomic_signal_fence(memory_order_seq_cst);
    *used = zm_self.used_before + allocated - freed;
    return ZM_LIKELY(freed_after == freed && zm_child_stamp() == stamp);
}

static size_t visit(size_t (*sum)(const struct zm_roster *roster))
{
    struct zm_reader reader;
    size_t total;
    do {
        reader = zm_readers_enter();
        total = sum(NULL);
    } while (!zm_readers_leave(reader));
    return total;
}

static inline __attribute__((always_inline)) struct zm_reading read_with_others(void)
{
    struct zm_reader reader;
    struct zm_reading reading;
    do {
        reader = zm_readers_enter();
        reading = sum_by_roster();
    } while (!zm_readers_leave(reader));
    return reading;
}

struct zm_reading zm_account_read(void)
{
    return read_with_others();
}

static KEPT_OUT size_t raise_peak(size_t used)
{
    zm_atomic_max(&peak, used);
    return used;
}

static KEPT_OUT size_t used_with_others(void)
{
    return raise_peak(read_with_others().used);
}

static inline __attribute__((always_inline)) size_t used_now(void)
{
    size_t used;
    if (!ZM_LIKELY(read_alone(&used))) {
        return used_with_others();
    }
    return ZM_LIKELY(used <= atomic_load_explicit(&peak, memory_order_relaxed)) ? used : raise_peak(used);
}

size_t zm_account_used(void)
{
    return used_now();
}

size_t zm_account_peak(void)
{
    used_now();
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
