/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads' slots: how a thread gets and leaves one. */
#include "account/slots.h"

#include "os/os.h"
#include "sync/atomic_max.h"

enum { SLOTS_AT_START = 32, SLOTS_A_CHUNK = 256 };

struct mapped_chunk {
    struct zm_slot slots[SLOTS_A_CHUNK];
    struct zm_chunk chunk;
};

/* Static: a thread can count before any mapping. */
static struct zm_slot slots_at_start[SLOTS_AT_START];
struct zm_chunk zm_slots = {.slots = slots_at_start, .length = SLOTS_AT_START};

/* This thread's slot, also while it is only about to get it or to give it back: a fork may come in between. */
static _Thread_local struct zm_slot *own_slot;

static bool take(struct zm_slot *slot)
{
    return !atomic_load_explicit(&slot->taken, memory_order_relaxed) &&
           !atomic_exchange_explicit(&slot->taken, true, memory_order_acquire);
}

static struct zm_slot *take_one_of(struct zm_chunk *chunk)
{
    for (size_t i = 0; i < chunk->length; i++) {
        own_slot = &chunk->slots[i];
        if (take(own_slot)) {
            zm_atomic_max(&chunk->used, i + 1);
            return own_slot;
        }
    }
    return own_slot = NULL;
}

/* Adds a chunk behind the last one, or takes the one that another thread has just added. */
static struct zm_chunk *add_chunk(struct zm_chunk *last)
{
    struct mapped_chunk *mapped = zm_os_map(sizeof(*mapped));
    if (mapped == NULL) {
        return NULL;
    }
    mapped->chunk.slots = mapped->slots;
    mapped->chunk.length = SLOTS_A_CHUNK;

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

static void set_free(struct zm_slot *slot)
{
    atomic_store_explicit(&slot->taken, false, memory_order_release);
}

void zm_slots_give_back(void)
{
    set_free(own_slot);
    own_slot = NULL;
}

struct zm_slot *zm_slots_own(void)
{
    return own_slot;
}

/* Also those of threads that had taken one and not yet counted it among the used. */
void zm_slots_start_child(void (*see_to)(struct zm_slot *slot))
{
    for (struct zm_chunk *chunk = &zm_slots; chunk != NULL; chunk = atomic_load(&chunk->next)) {
        for (size_t i = 0; i < chunk->length; i++) {
            struct zm_slot *slot = &chunk->slots[i];
            if (slot != own_slot && slot->taken) {
                see_to(slot);
                set_free(slot);
            }
        }
    }
}
