/* SPDX-License-Identifier: BSD-3-Clause */
/* mimalloc, the hot half. Its heaps belong to threads: there is no way past them. */
#ifndef ZM_ALLOCATOR_MIMALLOC_H
#define ZM_ALLOCATOR_MIMALLOC_H

#include "allocator/size_table.h"

#include <mimalloc.h>

#define ZM_ALLOCATOR_UNALIGNED_UP_TO 8

static inline void *zm_allocator_allocate(size_t size)
{
    return mi_malloc(size);
}

static inline void *zm_allocator_allocate_zeroed(size_t size)
{
    return mi_zalloc(size);
}

static inline void *zm_allocator_reallocate(void *block, size_t size)
{
    return mi_realloc(block, size); /* may give twice as much */
}

static inline void zm_allocator_free(void *block)
{
    mi_free(block);
}

static inline void *zm_allocator_allocate_aligned(size_t alignment, size_t size)
{
    /* With _at, as plain mi_malloc_aligned of 2.0 takes blocks of 256, 512 and 1,024 bytes for naturally aligned. */
    return mi_malloc_aligned_at(size, alignment, 0);
}

static inline void zm_allocator_free_sized(void *block, size_t usable)
{
    (void) usable; /* it makes no use of it */
    mi_free(block);
}

static inline size_t zm_allocator_usable_size(void *block)
{
    return mi_usable_size(block);
}

static inline size_t zm_allocator_good_size(size_t size)
{
    return mi_good_size(size);
}

#endif
