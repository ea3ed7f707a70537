/* SPDX-License-Identifier: BSD-3-Clause */
/* Every way to get a block with an alignment. */
#ifndef ALIGNED_WAYS_H
#define ALIGNED_WAYS_H

#include "zmalloc.h"

#include <stdbool.h>
#include <stddef.h>

/* What it says of the usable size is written to *usable. */
struct aligned_way {
    const char *name;
    void *(*get)(size_t alignment, size_t size, size_t *usable);
    bool calls_handler;
};

static inline void *by_plain(size_t alignment, size_t size, size_t *usable)
{
    void *ptr = zaligned_alloc(alignment, size);
    *usable = zmalloc_usable_size(ptr);
    return ptr;
}

static inline void *by_try(size_t alignment, size_t size, size_t *usable)
{
    void *ptr = ztryaligned_alloc(alignment, size);
    *usable = zmalloc_usable_size(ptr);
    return ptr;
}

static const struct aligned_way aligned_ways[] = {
    {"zaligned_alloc", by_plain, true},
    {"ztryaligned_alloc", by_try, false},
    {"zaligned_alloc_usable", zaligned_alloc_usable, true},
    {"ztryaligned_alloc_usable", ztryaligned_alloc_usable, false},
};

#endif
