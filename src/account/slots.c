/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads' slots: how a thread gets and leaves one. */
#include "account/slots.h"

#include "os/os.h"
#include "sync/atomic_max.h"

struct mapped_chunk {
    struct zm_slot slots[ZM_SLOTS_A_CHUNK];
    struct zm_pair pairs[ZM_SLOTS_A_CHUNK];
    struct zm_chunk chunk;
};

/* Static: a thread can count before any mapping. */
static struct zm_slot slots_at_start[ZM_SLOTS_AT_START];
struct zm_pair zm_slots_pairs_at_start[ZM_SLOTS_AT_START];
struct zm_chunk zm_slots = {.slots = slots_at_start, .pairs = zm_slots_pairs_at_start, .length = ZM_SLOTS_AT_START};

/*
 * The owner is set by one instruction, and says whose the slot is: a fork in a signal handler finds it taken by this
 * thread or not at all. The thread remembers before that which one it is about to take.
 */
static bool take(struct zm_slot *slot)
{
    struct zm_thread *nobody = NULL;
    if (atomic_load_explicit(&slot->owner, memory_order_relaxed) != NULL) {
        return false;
    }
    atomic_store_explicit(&zm_self.slot, slot, memory_order_relaxed);
    return atomic_compare_exchange_strong(&slot->owner, &nobody, &zm_self);
}

static struct zm_slot *take_one_of(struct zm_chunk *chunk)
{
    for (size_t i = 0; i < chunk->length; i++) {
        if (take(&chunk->slots[i])) {
            zm_atomic_max(&chunk->used, i + 1);
            return &chunk->slots[i];
        }
    }
    return NULL;
}

/* Adds a chunk behind the last one, or takes the one that another thread has just added. */
static struct zm_chunk *add_chunk(struct zm_chunk *last)
{
    struct mapped_chunk *mapped = zm_os_map(sizeof(*mapped));
    if (mapped == NULL) {
        return NULL;
    }
    mapped->chunk.slots = mapped->slots;
    mapped->chunk.pairs = mapped->pairs;
    mapped->chunk.length = ZM_SLOTS_A_CHUNK;

    struct zm_chunk *other = NULL;
    if (!atomic_compare_exchange_strong(&last->next, &other, &mapped->chunk)) {
        zm_os_unmap(mapped, sizeof(*mapped));
        return other;
    }
    return &mapped->chunk;
}

struct zm_slot *zm_slots_take(void)
{
    for (struct zm_chunk *chunk = &zm_slots; chunk != NULL;) {
        struct zm_slot *slot = take_one_of(chunk);
        if (slot != NULL) {
            return slot;
        }
        struct zm_chunk *next = atomic_load(&chunk->next);
        chunk = next != NULL ? next : add_chunk(chunk);
    }
    return NULL;
}

struct zm_slot *zm_slots_own(void)
{
    struct zm_slot *slot = atomic_load_explicit(&zm_self.slot, memory_order_relaxed);
    return slot != NULL && atomic_load_explicit(&slot->owner, memory_order_relaxed) == &zm_self ? slot : NULL;
}

void zm_slots_set_free(struct zm_slot *slot)
{
    atomic_store_explicit(&slot->owner, NULL, memory_order_release);
}

void zm_slots_give_back(void)
{
    struct zm_slot *own = zm_slots_own();
    if (own != NULL) {
        zm_slots_set_free(own);
    }
}

/* Also those that were taken and not yet counted among the used. */
void zm_slots_each_owned(void (*look)(struct zm_slot *slot))
{
    for (struct zm_chunk *chunk = &zm_slots; chunk != NULL; chunk = atomic_load(&chunk->next)) {
        for (size_t i = 0; i < chunk->length; i++) {
            if (atomic_load_explicit(&chunk->slots[i].owner, memory_order_acquire) != NULL) {
                look(&chunk->slots[i]);
            }
        }
    }
}
