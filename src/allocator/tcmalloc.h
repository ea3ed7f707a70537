/* SPDX-License-Identifier: BSD-3-Clause */
/* tcmalloc (gperftools), the hot half. It has no way past its thread caches. */
#ifndef ZM_ALLOCATOR_TCMALLOC_H
#define ZM_ALLOCATOR_TCMALLOC_H

#include <gperftools/tcmalloc.h>

static inline void *zm_allocator_allocate(size_t size)
{
    return tc_malloc(size);
}

static inline void *zm_allocator_allocate_zeroed(size_t size)
{
    return tc_calloc(1, size);
}

static inline void *zm_allocator_reallocate(void *block, size_t size)
{
    return tc_realloc(block, size);
}

static inline void zm_allocator_free(void *block)
{
    tc_free(block);
}

static inline size_t zm_allocator_usable_size(void *block)
{
    return tc_malloc_size(block);
}

static inline void *zm_allocator_allocate_uncached(size_t size)
{
    return zm_allocator_allocate(size);
}

static inline void zm_allocator_free_uncached(void *block)
{
    zm_allocator_free(block);
}

#endif
