/* SPDX-License-Identifier: BSD-3-Clause */
/* The macOS allocator, the hot half. Its zones have no way past their caches. */
#ifndef ZM_ALLOCATOR_DARWIN_H
#define ZM_ALLOCATOR_DARWIN_H

#include "allocator/standard.h"

#include <malloc/malloc.h>

#define ZM_ALLOCATOR_UNALIGNED_UP_TO 0

static inline void *zm_allocator_allocate_aligned(size_t alignment, size_t size)
{
    return zm_standard_allocate_aligned(alignment, size);
}

static inline size_t zm_allocator_usable_size(void *block)
{
    return malloc_size(block);
}

static inline size_t zm_allocator_good_size(size_t size)
{
    return malloc_good_size(size);
}

#endif
