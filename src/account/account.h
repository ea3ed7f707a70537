/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes in use: two counters a thread that only grow, allocated and freed, summed on read. */
#ifndef ZM_ACCOUNT_H
#define ZM_ACCOUNT_H

#include "account/gate.h"
#include "heap/heap.h"
#include "sync/plain.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether the allocator counts what a thread does, by the very sizes that zmalloc counts. */
#ifdef ZMALLOC_SIZE_PREFIX
enum { ZM_COUNTED_BY_ALLOCATOR = false };
#else
enum { ZM_COUNTED_BY_ALLOCATOR = ZM_HEAP_COUNTS };
#endif

/* Live: what this thread allocates and frees is read from its counters. Others count on two shared ones. */
static inline bool zm_account_is_live(void)
{
    return ZM_LIKELY(zm_gate() != ZM_NOT_LIVE);
}

/*
 * Makes the thread live, if it can be. Before its first block is counted, and so made where the allocator counts: a
 * signal handler in between may allocate too, and nobody could tell which of the two was first.
 */
void zm_account_register(void);

static inline void zm_account_expect_block(void)
{
    if (!zm_account_is_live()) {
        zm_account_register();
    }
}

void zm_account_allocated_when_not_live(size_t bytes);
void zm_account_freed_when_not_live(size_t bytes);

/*
 * Around a free of a thread that is not live, where the allocator counts it too: if a signal handler made the thread
 * live in between, one of the two counts would be from before that and one from after it. So it does not.
 */
bool zm_account_begin_to_free(void);
void zm_account_end_to_free(void);

/* For an allocator that counted it before this thread became live. */
void zm_account_freed_before_live(size_t bytes);

static inline void zm_account_allocated_when_live(struct zm_thread *self, size_t bytes)
{
    if (!ZM_COUNTED_BY_ALLOCATOR) {
        zm_plain_add(&self->allocated, bytes);
    }
}

/* Released, so that a reader who sees a block freed also sees it allocated, on whatever thread that was. */
static inline void zm_account_freed_when_live(struct zm_thread *self, size_t bytes)
{
    if (!ZM_COUNTED_BY_ALLOCATOR) {
        zm_plain_add(&self->freed, bytes);
    }
}

/* By a thread that may be live or not. */
static inline void zm_account_allocated(size_t bytes)
{
    if (zm_account_is_live()) {
        zm_account_allocated_when_live(&zm_self, bytes);
    } else {
        zm_account_allocated_when_not_live(bytes);
    }
}

static inline void zm_account_freed(size_t bytes)
{
    if (zm_account_is_live()) {
        zm_account_freed_when_live(&zm_self, bytes);
    } else {
        zm_account_freed_when_not_live(bytes);
    }
}

/* All of these take no lock, allocate nothing, and are safe in a signal handler. */

/* Allocated and not freed, in all threads; and the most that this was ever seen to be. */
size_t zm_account_used(void);
size_t zm_account_peak(void);
void zm_account_reset_peak(void);

/* The same, and how far off it may be: at the end, no less than used - error are in use; at the beginning, no more
 * than used were. */
struct zm_reading {
    size_t used;
    size_t error;
};
struct zm_reading zm_account_read(void);

size_t zm_account_total_allocated(void);
size_t zm_account_total_freed(void);

/* By this thread. */
size_t zm_account_thread_allocated(void);
size_t zm_account_thread_freed(void);

#endif
