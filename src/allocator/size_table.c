/* SPDX-License-Identifier: BSD-3-Clause */
/* Fills the table of usable sizes when the library is loaded, if what the allocator says is what it does. */
#include "allocator/allocator.h"
#include "allocator/size_table.h" /* after it: an allocator may do without */

uint16_t zm_size_table[ZM_SIZE_TABLE_LIMIT / ZM_SIZE_TABLE_STEP + 1];
bool zm_size_table_holds;

/* A debug variant of an allocator may hold its callers to the very size they asked for, whatever its classes. */
static bool keeps_its_word(size_t size)
{
    void *block = zm_allocator_allocate(size);
    if (block == NULL) {
        return false;
    }
    bool kept = zm_allocator_usable_size(block) == zm_allocator_good_size(size);
    zm_allocator_free(block);
    return kept;
}

/*
 * All or nothing, and class by class: a request gets the smallest class that it fits in, so what holds for the least
 * request of a class and for the largest holds for those between them. A class that ends within a step ends it.
 */
static bool fill_all(void)
{
    size_t usable;
    for (size_t size = 1; size <= ZM_SIZE_TABLE_LIMIT; size = usable + 1) {
        usable = zm_allocator_good_size(size);
        if (usable < size || usable > UINT16_MAX || usable % ZM_SIZE_TABLE_STEP != 0 ||
            zm_allocator_good_size(usable) != usable) {
            return false;
        }
        size_t last = usable < ZM_SIZE_TABLE_LIMIT ? usable : ZM_SIZE_TABLE_LIMIT;
        for (size_t i = size / ZM_SIZE_TABLE_STEP + 1; i <= last / ZM_SIZE_TABLE_STEP; i++) {
            zm_size_table[i] = (uint16_t) usable;
        }
    }
    return true;
}

__attribute__((constructor)) static void fill(void)
{
    if (ZM_ALLOCATOR_GRANTS_UP_TO != ZM_SIZE_TABLE_LIMIT) {
        return; /* no allocator with such a table */
    }
    zm_size_table_holds = keeps_its_word(1) && keeps_its_word(ZM_SIZE_TABLE_LIMIT / 2 + 1) && fill_all();
}
