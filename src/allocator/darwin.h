/* SPDX-License-Identifier: BSD-3-Clause */
/* The macOS allocator, the hot half. Its zones have no way past their caches. */
#ifndef ZM_ALLOCATOR_DARWIN_H
#define ZM_ALLOCATOR_DARWIN_H

#include <malloc/malloc.h>
#include <stdlib.h>

#define ZM_ALLOCATOR_UNALIGNED_UP_TO 0

static inline void *zm_allocator_allocate(size_t size)
{
    return malloc(size);
}

static inline void *zm_allocator_allocate_zeroed(size_t size)
{
    return calloc(1, size);
}

static inline void *zm_allocator_reallocate(void *block, size_t size)
{
    return realloc(block, size);
}

static inline void zm_allocator_free(void *block)
{
    free(block);
}

static inline void *zm_allocator_allocate_aligned(size_t alignment, size_t size)
{
    void *block;
    return posix_memalign(&block, alignment, size) == 0 ? block : NULL;
}

static inline void zm_allocator_free_sized(void *block, size_t usable)
{
    (void) usable;
    zm_allocator_free(block);
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
