/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads' slots: where they come from, how a thread gets and leaves one, and how they are read. */
#include "account.h"

#include "os/os.h"

#include <pthread.h>
#include <stdint.h>

enum { SLOTS_AT_START = 32, SLOTS_A_CHUNK = 256 };

/* When a reader is content with a sum, in bytes that others freed during it, and when it gives up. */
enum { TOLERANCE = 4096, PASSES_AT_MOST = 8 };

enum counter { ALLOCATED, FREED };

/* Slots come in chunks that are never given back. The first is static: a thread can count before any mapping. */
struct chunk {
    struct zm_slot *slots;
    size_t length;
    _Atomic size_t used; /* no slot from here on was ever taken */
    _Atomic(struct chunk *) next;
};

struct mapped_chunk {
    struct zm_slot slots[SLOTS_A_CHUNK];
    struct chunk chunk;
};

static struct zm_slot slots_at_start[SLOTS_AT_START];
static struct chunk first_chunk = {.slots = slots_at_start, .length = SLOTS_AT_START};

/* Counts of threads without a slot: not yet registered, ending, or past what memory or keys allow. */
static struct zm_slot shared;

_Thread_local struct zm_slot *zm_own_slot;

/* Set for good when a thread gives its slot back: what still comes from late destructors goes to `shared`. */
static _Thread_local bool ending;

static pthread_key_t key;
static bool ready;

static bool take(struct zm_slot *slot)
{
    return !atomic_load_explicit(&slot->taken, memory_order_relaxed) &&
           !atomic_exchange_explicit(&slot->taken, true, memory_order_acquire);
}

static void raise_used(struct chunk *chunk, size_t used)
{
    size_t old = atomic_load_explicit(&chunk->used, memory_order_relaxed);
    while (old < used && !atomic_compare_exchange_weak(&chunk->used, &old, used)) {
    }
}

static struct zm_slot *take_one_of(struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->length; i++) {
        if (take(&chunk->slots[i])) {
            raise_used(chunk, i + 1);
            return &chunk->slots[i];
        }
    }
    return NULL;
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

static struct zm_slot *take_slot(void)
{
    for (struct chunk *chunk = &first_chunk; chunk != NULL;) {
        struct zm_slot *slot = take_one_of(chunk);
        if (slot != NULL) {
            return slot;
        }
        struct chunk *next = next_chunk(chunk);
        chunk = next != NULL ? next : add_chunk(chunk);
    }
    return NULL;
}

static void give_back(struct zm_slot *slot)
{
    atomic_store_explicit(&slot->taken, false, memory_order_release);
}

/* Gives this thread a slot if it can be told when the thread ends. */
static void register_thread(void)
{
    if (!ready || ending) {
        return;
    }
    struct zm_slot *slot = take_slot();
    if (slot == NULL) {
        return;
    }
    if (pthread_setspecific(key, slot) != 0) {
        give_back(slot);
        return;
    }
    zm_own_slot = slot;
}

static void end_thread(void *slot)
{
    ending = true;
    zm_own_slot = NULL;
    give_back(slot);
}

/* The other threads are not in the child. What they counted stays; their slots are free. */
static void start_child(void)
{
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = next_chunk(chunk)) {
        for (size_t i = 0; i < chunk->length; i++) {
            if (&chunk->slots[i] != zm_own_slot) {
                give_back(&chunk->slots[i]);
            }
        }
    }
}

__attribute__((constructor)) static void start(void)
{
    ready = pthread_key_create(&key, end_thread) == 0 && pthread_atfork(NULL, NULL, start_child) == 0;
}

void zm_account_allocated_without_slot(size_t bytes)
{
    register_thread();
    if (zm_own_slot != NULL) {
        zm_account_allocated(bytes);
    } else {
        atomic_fetch_add_explicit(&shared.allocated, bytes, memory_order_relaxed);
    }
}

/* Never registers: the C library itself frees after the last round of key destructors. */
void zm_account_freed_without_slot(size_t bytes)
{
    atomic_fetch_add_explicit(&shared.freed, bytes, memory_order_release);
}

static size_t read_counter(const struct zm_slot *slot, enum counter counter)
{
    /* Acquired after what was released: every block that is seen freed will be seen allocated. */
    return counter == FREED ? atomic_load_explicit(&slot->freed, memory_order_acquire)
                            : atomic_load_explicit(&slot->allocated, memory_order_relaxed);
}

static size_t sum(enum counter counter)
{
    size_t total = read_counter(&shared, counter);
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = next_chunk(chunk)) {
        size_t used = atomic_load_explicit(&chunk->used, memory_order_acquire);
        for (size_t i = 0; i < used; i++) {
            total += read_counter(&chunk->slots[i], counter);
        }
    }
    return total;
}

/*
 * Threads go on while they are summed, and a reader may lose the processor in the middle. Freed is summed before
 * and after allocated: what lies between the two is how far off the difference may be. The best of a few passes
 * is kept. A block seen freed is seen allocated too, so the difference to the first sum is never below zero.
 */
size_t zm_account_used(void)
{
    size_t best = 0;
    size_t best_error = SIZE_MAX;

    size_t freed = sum(FREED);
    for (int pass = 0; pass < PASSES_AT_MOST && best_error > TOLERANCE; pass++) {
        size_t allocated = sum(ALLOCATED);
        size_t freed_after = sum(FREED);
        if (freed_after - freed < best_error) {
            best = allocated - freed;
            best_error = freed_after - freed;
        }
        freed = freed_after;
    }
    return best;
}
