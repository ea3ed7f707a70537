/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes in use: two counters a thread that only grow, allocated and freed, summed on read. */
#ifndef ZM_ACCOUNT_H
#define ZM_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A thread's counters. A slot outlives its thread, counts included, and then serves another: a reader may always
 * follow it, and there are as many slots as threads that lived at once. Sums and differences are taken modulo
 * 2^N, so that counters may wrap and yet tell the bytes in use.
 */
struct zm_slot {
    _Alignas(128) _Atomic size_t allocated;
    _Atomic size_t freed;
    atomic_bool taken;
};

/* This thread's slot; NULL before it has one and after it gave it back. */
extern _Thread_local struct zm_slot *zm_own_slot;

void zm_account_allocated_without_slot(size_t bytes);
void zm_account_freed_without_slot(size_t bytes);

/* Only this thread writes its slot, so no locked add. */
static inline void zm_account_allocated(size_t bytes)
{
    struct zm_slot *slot = zm_own_slot;
    if (slot == NULL) {
        zm_account_allocated_without_slot(bytes);
        return;
    }
    size_t sum = atomic_load_explicit(&slot->allocated, memory_order_relaxed) + bytes;
    atomic_store_explicit(&slot->allocated, sum, memory_order_relaxed);
}

/* Released, so that a reader who sees a block freed also sees it allocated, on whatever thread that was. */
static inline void zm_account_freed(size_t bytes)
{
    struct zm_slot *slot = zm_own_slot;
    if (slot == NULL) {
        zm_account_freed_without_slot(bytes);
        return;
    }
    size_t sum = atomic_load_explicit(&slot->freed, memory_order_relaxed) + bytes;
    atomic_store_explicit(&slot->freed, sum, memory_order_release);
}

/* Allocated and not freed, in all threads. Takes no lock, allocates nothing, safe in a signal handler. */
size_t zm_account_used(void);

#endif
