/* SPDX-License-Identifier: BSD-3-Clause */
/* The C library's malloc, the hot half. It has no way past its thread caches. */
#ifndef ZM_ALLOCATOR_LIBC_H
#define ZM_ALLOCATOR_LIBC_H

#include <stdlib.h>

/* Where FreeBSD has what is not in the standard; its malloc.h used to be an error. */
#if __has_include(<malloc_np.h>)
#include <malloc_np.h>
#else
#include <malloc.h>
#endif

/* glibc aligns all its blocks; another malloc that was put before it may not. */
#define ZM_ALLOCATOR_UNALIGNED_UP_TO 8

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
    void *block; /* aligned_alloc may insist on a size that is a multiple of the alignment */
    return posix_memalign(&block, alignment, size) == 0 ? block : NULL;
}

static inline void zm_allocator_free_sized(void *block, size_t usable)
{
    (void) usable;
    zm_allocator_free(block);
}

static inline size_t zm_allocator_usable_size(void *block)
{
    return malloc_usable_size(block);
}

static inline size_t zm_allocator_good_size(size_t size)
{
    (void) size;
    return 0;
}

#endif
