/* SPDX-License-Identifier: BSD-3-Clause */
/* What an allocator makes of small requests: a table of usable sizes, filled once by asking it. */
#ifndef ZM_SIZE_TABLE_H
#define ZM_SIZE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Requests of one step share an entry: in every allocator here size classes end at multiples of 8. */
enum { ZM_SIZE_TABLE_STEP = 8, ZM_SIZE_TABLE_LIMIT = 8192 };

extern uint16_t zm_size_table[ZM_SIZE_TABLE_LIMIT / ZM_SIZE_TABLE_STEP + 1] __attribute__((visibility("hidden")));

/* Whether the table was filled. */
extern bool zm_size_table_holds;

/* The usable size that a request up to the limit is given. */
static inline size_t zm_size_table_find(size_t size)
{
    return zm_size_table[(size + (ZM_SIZE_TABLE_STEP - 1)) / ZM_SIZE_TABLE_STEP];
}

/* What allocator.h asks of an allocator that has such a table. */
#ifndef ZM_ALLOCATOR_GRANTS_UP_TO
#define ZM_ALLOCATOR_GRANTS_UP_TO ZM_SIZE_TABLE_LIMIT
#define ZM_ALLOCATOR_GRANTS_ROUNDING (ZM_SIZE_TABLE_STEP - 1)
#define ZM_ALLOCATOR_ALIGNS_CLASSES true

static inline bool zm_allocator_grants(void)
{
    return zm_size_table_holds;
}

static inline size_t zm_allocator_granted_size(void *block, size_t size)
{
    (void) block;
    return zm_size_table_find(size);
}
#endif

#endif
