/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads' slots: as many as threads that lived at once, in a list that only grows. */
#ifndef ZM_SLOTS_H
#define ZM_SLOTS_H

#include "account/counters.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* A slot: what is known of one thread. It outlives its thread, sums included, and then serves another. */
struct zm_slot {
    _Alignas(128) struct zm_counters counters;
    _Atomic(struct zm_thread *) owner;  /* NULL: nobody */
    _Atomic(struct zm_thread *) thread; /* while it is live */
    struct zm_sums before_fork; /* as far as they were known when a thread was about to fork */
};

/* Where a thread's counters are. */
struct zm_pair {
    _Atomic(const _Atomic size_t *) allocated;
    _Atomic(const _Atomic size_t *) freed;
};

/* Slots come in chunks that are never given back. */
struct zm_chunk {
    struct zm_slot *slots;
    struct zm_pair *pairs; /* as many: see roster.c */
    size_t length;
    _Atomic size_t used; /* no slot from here on was ever taken */
    _Atomic(struct zm_chunk *) next;
};

extern struct zm_chunk zm_slots;

/* The pairs of the first one. */
enum { ZM_SLOTS_AT_START = 32, ZM_SLOTS_A_CHUNK = 256 };
extern struct zm_pair zm_slots_pairs_at_start[ZM_SLOTS_AT_START];

/* For this thread, which has none; NULL if there is no memory for more. */
struct zm_slot *zm_slots_take(void);

/* This thread's. */
void zm_slots_give_back(void);

/* This thread's, or NULL. */
struct zm_slot *zm_slots_own(void);

/* Each that has an owner, also one that was taken only now. */
void zm_slots_each_owned(void (*look)(struct zm_slot *slot));

/* Whose owner is not in this process any more. */
void zm_slots_set_free(struct zm_slot *slot);

/* All that were ever taken before this began. */
static inline void zm_slots_each(void (*look)(struct zm_slot *slot, void *context), void *context)
{
    for (struct zm_chunk *chunk = &zm_slots; chunk != NULL; chunk = atomic_load(&chunk->next)) {
        size_t used = atomic_load(&chunk->used);
        for (size_t i = 0; i < used; i++) {
            look(&chunk->slots[i], context);
        }
    }
}

#endif
