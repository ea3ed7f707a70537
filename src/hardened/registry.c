/* SPDX-License-Identifier: BSD-3-Clause */
/* The blocks by their addresses: a hash table in parts, so that threads seldom wait for each other. */
#include "hardened/registry.h"

#include "hardened/fork_lock.h"
#include "os/os.h"

#include <stdint.h>

enum { PART_BITS = 5, PARTS = 1 << PART_BITS, FEWEST_PLACES = 128 };

/* Places are tried from the one that the address gives on, one after another. At most three of four are taken. */
struct part {
    _Alignas(64) struct zm_entry *places;
    size_t length; /* a power of two, or 0 */
    size_t taken;
};

static struct part parts[PARTS];
_Static_assert(ZM_LOCK_PARTS + PARTS == ZM_LOCKS, "a lock for each part");

static uint64_t hash(const void *ptr)
{
    uint64_t bits = (uint64_t) (uintptr_t) ptr * 0x9E3779B97F4A7C15U;
    return bits ^ bits >> 32;
}

static struct part *lock_part(size_t number, uintptr_t *token)
{
    *token = zm_fork_lock(ZM_LOCK_PARTS + (unsigned) number);
    return &parts[number];
}

static struct part *lock_part_of(const void *ptr, uintptr_t *token)
{
    return lock_part((size_t) (hash(ptr) % PARTS), token);
}

static void unlock_part(const struct part *part, uintptr_t token)
{
    zm_fork_unlock(ZM_LOCK_PARTS + (unsigned) (part - parts), token);
}

static size_t home(const struct part *part, const void *ptr)
{
    return (size_t) (hash(ptr) >> PART_BITS) & (part->length - 1);
}

static size_t next(const struct part *part, size_t place)
{
    return (place + 1) & (part->length - 1);
}

/* Where the block is or would be. */
static struct zm_entry *place_of(const struct part *part, const void *ptr)
{
    size_t place = home(part, ptr);
    while (part->places[place].ptr != NULL && part->places[place].ptr != ptr) {
        place = next(part, place);
    }
    return &part->places[place];
}

static struct zm_entry *find(const struct part *part, const void *ptr)
{
    struct zm_entry *entry = part->length != 0 ? place_of(part, ptr) : NULL;
    return entry != NULL && entry->ptr != NULL ? entry : NULL;
}

static bool grow(struct part *part)
{
    struct part larger = {.length = part->length != 0 ? part->length * 2 : FEWEST_PLACES};
    larger.places = zm_os_map(larger.length * sizeof(*larger.places));
    if (larger.places == NULL) {
        return false;
    }
    for (size_t i = 0; i < part->length; i++) {
        if (part->places[i].ptr != NULL) {
            *place_of(&larger, part->places[i].ptr) = part->places[i];
        }
    }
    if (part->length != 0) {
        zm_os_unmap(part->places, part->length * sizeof(*part->places));
    }
    part->places = larger.places;
    part->length = larger.length;
    return true;
}

static bool has_room(const struct part *part)
{
    return part->taken < part->length / 4 * 3;
}

bool zm_registry_add(const struct zm_entry *entry)
{
    uintptr_t token;
    struct part *part = lock_part_of(entry->ptr, &token);
    bool added = has_room(part) || grow(part);
    if (added) {
        *place_of(part, entry->ptr) = *entry;
        part->taken++;
    }
    unlock_part(part, token);
    return added;
}

bool zm_registry_find(const void *ptr, struct zm_entry *entry)
{
    uintptr_t token;
    struct part *part = lock_part_of(ptr, &token);
    const struct zm_entry *found = find(part, ptr);
    if (found != NULL) {
        *entry = *found;
    }
    unlock_part(part, token);
    return found != NULL;
}

bool zm_registry_retire(const void *ptr, enum zm_state state, struct zm_entry *entry)
{
    uintptr_t token;
    struct part *part = lock_part_of(ptr, &token);
    struct zm_entry *found = find(part, ptr);
    if (found != NULL) {
        *entry = *found;
        found->state = found->state == ZM_IN_USE ? state : found->state;
    }
    unlock_part(part, token);
    return found != NULL;
}

/* Those behind a place that becomes free come nearer to their homes, or they would not be found any more. */
static void close_gap(struct part *part, size_t gap)
{
    for (size_t place = next(part, gap); part->places[place].ptr != NULL; place = next(part, place)) {
        size_t from_home = (place - home(part, part->places[place].ptr)) & (part->length - 1);
        size_t from_gap = (place - gap) & (part->length - 1);
        if (from_home >= from_gap) {
            part->places[gap] = part->places[place];
            gap = place;
        }
    }
    part->places[gap] = (struct zm_entry){0};
}

void zm_registry_remove(const void *ptr)
{
    uintptr_t token;
    struct part *part = lock_part_of(ptr, &token);
    const struct zm_entry *found = find(part, ptr);
    if (found != NULL) {
        close_gap(part, (size_t) (found - part->places));
        part->taken--;
    }
    unlock_part(part, token);
}

/* Its offset and the redzone behind it are taken as part of a block. */
static bool is_around(const struct zm_entry *entry, uintptr_t address)
{
    uintptr_t begin = (uintptr_t) entry->ptr - entry->offset;
    return entry->ptr != NULL && address - begin <= entry->offset + entry->size;
}

static bool find_around_in(size_t number, uintptr_t address, struct zm_entry *entry)
{
    bool found = false;
    uintptr_t token;
    const struct part *part = lock_part(number, &token);
    for (size_t i = 0; i < part->length && !found; i++) {
        found = is_around(&part->places[i], address);
        if (found) {
            *entry = part->places[i];
        }
    }
    unlock_part(part, token);
    return found;
}

bool zm_registry_find_around(const void *ptr, struct zm_entry *entry)
{
    bool found = false;
    for (size_t i = 0; i < PARTS && !found; i++) {
        found = find_around_in(i, (uintptr_t) ptr, entry);
    }
    return found;
}
