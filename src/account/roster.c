/* SPDX-License-Identifier: BSD-3-Clause */
/* The roster of living threads: made by one reader at a time, in place, and summed without a look at the slots. */
#include "account/roster.h"

struct zm_last_roster zm_last_roster = {.stamp = ZM_NEVER_A_STAMP};

static const _Atomic size_t zero;

/*
 * Who makes it. In a child it may be a thread that is not there. Until that is known nobody makes one: it might be
 * the thread that forked, which will go on.
 */
static _Atomic(const struct zm_thread *) maker;
static _Atomic(const struct zm_thread *) inherited_maker;

/* Where the next pair goes. There is room: the chunks have a pair for each slot. */
struct place {
    struct zm_chunk *chunk;
    size_t index;
    size_t length;
};

static void append(struct place *place, const _Atomic size_t *allocated, const _Atomic size_t *freed)
{
    if (place->index == place->chunk->length) {
        place->chunk = atomic_load(&place->chunk->next);
        place->index = 0;
    }
    struct zm_pair *pair = &place->chunk->pairs[place->index++];
    atomic_store_explicit(&pair->allocated, allocated, memory_order_release);
    atomic_store_explicit(&pair->freed, freed, memory_order_release);
    place->length++;
}

struct making {
    struct place place;
    size_t used_before;
    const struct zm_slot *last;
    bool fails;
};

static void add_slot(struct zm_slot *slot, void *context)
{
    struct making *making = context;
    struct zm_fixed fixed;
    if (making->fails || !zm_counters_get_fixed(&slot->counters, &fixed)) {
        making->fails = true;
        return;
    }
    making->used_before += fixed.used_before;
    if (fixed.allocated != NULL) {
        append(&making->place, fixed.allocated, fixed.freed);
        making->last = slot;
    }
}

/*
 * In place: a reader of the roster before may find pairs of both. Each of them is of a thread that was live since
 * that reader began, and so waits for it; and it will see that its roster does not hold any more.
 */
static void make(size_t now)
{
    struct making making = {.place = {.chunk = &zm_slots}};
    zm_slots_each(add_slot, &making);
    if (making.fails) {
        return;
    }
    atomic_store(&zm_last_roster.only, making.place.length == 1 ? making.last : NULL);
    while (making.place.length % ZM_ROSTER_STEP != 0) {
        append(&making.place, &zero, &zero);
    }
    atomic_store(&zm_last_roster.length, making.place.length);
    atomic_store(&zm_last_roster.used_before, making.used_before);
    if (zm_child_stamp() == now) {
        atomic_store(&zm_last_roster.stamp, now);
    }
}

void zm_roster_try_to_make(size_t now)
{
    const struct zm_thread *nobody = NULL;
    bool is_settled = now != 0; /* what a child that is not settled made would seem to hold in its child */
    if (is_settled && atomic_compare_exchange_strong(&maker, &nobody, &zm_self)) {
        make(now);
        atomic_store(&maker, NULL);
    }
}

static inline __attribute__((always_inline)) size_t sum_chunks(size_t length, bool freed)
{
    size_t total = 0;
    for (const struct zm_chunk *chunk = &zm_slots; length > 0; chunk = atomic_load(&chunk->next)) {
        size_t here = length < chunk->length ? length : chunk->length;
        total += zm_roster_sum_pairs(chunk->pairs, here, freed);
        length -= here;
    }
    return total;
}

size_t zm_roster_sum_chunks(size_t length, bool freed)
{
    return freed ? sum_chunks(length, true) : sum_chunks(length, false);
}

void zm_roster_start_child(bool is_first, bool is_forker_known)
{
    if (is_first) {
        atomic_store(&inherited_maker, atomic_load(&maker));
    }
    if (is_forker_known) {
        const struct zm_thread *before = atomic_exchange(&inherited_maker, NULL);
        if (before != NULL && before != &zm_self) {
            atomic_compare_exchange_strong(&maker, &before, NULL);
        }
    }
}
