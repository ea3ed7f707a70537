/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls of the C standard and POSIX: what the C library's malloc and macOS's have alike of the hot half. */
#ifndef ZM_ALLOCATOR_STANDARD_H
#define ZM_ALLOCATOR_STANDARD_H

#include <stddef.h>
#include <stdlib.h>

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

static inline void *zm_standard_allocate_aligned(size_t alignment, size_t size)
{
    void *block; /* aligned_alloc may insist on a size that is a multiple of the alignment */
    return posix_memalign(&block, alignment, size) == 0 ? block : NULL;
}

static inline void zm_allocator_free_sized(void *block, size_t usable)
{
    (void) usable;
    zm_allocator_free(block);
}

#endif
