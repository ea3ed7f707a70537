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

/* All or nothing: an entry that does not hold for its whole step ends it. */
static bool fill_all(void)
{
    for (size_t size = ZM_SIZE_TABLE_STEP; size <= ZM_SIZE_TABLE_LIMIT; size += ZM_SIZE_TABLE_STEP) {
        size_t usable = zm_allocator_good_size(size);
        if (usable > UINT16_MAX || usable != zm_allocator_good_size(size - ZM_SIZE_TABLE_STEP + 1)) {
            return false;
        }
        zm_size_table[size / ZM_SIZE_TABLE_STEP] = (uint16_t) usable;
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
