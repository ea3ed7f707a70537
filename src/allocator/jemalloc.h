/* SPDX-License-Identifier: BSD-3-Clause */
/* jemalloc, the hot half: private with the prefix je_, or the system's by the names that it alone has. */
#ifndef ZM_ALLOCATOR_JEMALLOC_H
#define ZM_ALLOCATOR_JEMALLOC_H

#include <jemalloc/jemalloc.h>

#ifdef ZM_JEMALLOC_PRIVATE
#define ZM_JEMALLOC(name) je_##name
#else
#define ZM_JEMALLOC(name) name
#endif

static inline void *zm_allocator_allocate(size_t size)
{
    return ZM_JEMALLOC(mallocx)(size, 0);
}

static inline void *zm_allocator_allocate_zeroed(size_t size)
{
    return ZM_JEMALLOC(mallocx)(size, MALLOCX_ZERO);
}

static inline void *zm_allocator_reallocate(void *block, size_t size)
{
    return ZM_JEMALLOC(rallocx)(block, size, 0);
}

static inline void zm_allocator_free(void *block)
{
    ZM_JEMALLOC(dallocx)(block, 0);
}

static inline size_t zm_allocator_usable_size(void *block)
{
    return ZM_JEMALLOC(sallocx)(block, 0);
}

static inline void *zm_allocator_allocate_uncached(size_t size)
{
    return ZM_JEMALLOC(mallocx)(size, MALLOCX_TCACHE_NONE);
}

static inline void zm_allocator_free_uncached(void *block)
{
    ZM_JEMALLOC(dallocx)(block, MALLOCX_TCACHE_NONE);
}

#endif
