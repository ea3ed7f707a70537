/* SPDX-License-Identifier: BSD-3-Clause */
/* In the place of src/zmalloc.h in Valkey 8.1 and 9: its calls that the library does not have, or has otherwise. */
#ifndef ZMALLOC_COMPAT_H
#define ZMALLOC_COMPAT_H

#define ZMALLOC_COMPAT_VALKEY 9

#ifdef USE_JEMALLOC
#include <jemalloc/jemalloc.h>
#ifndef ZMALLOC_JEMALLOC
#error "deps/jemalloc is the server's own; put zmalloc's in its place: pkg-config --variable=deps_jemalloc zmalloc"
#endif
#if !defined(ZMALLOC_QUANTUM) || ZMALLOC_QUANTUM != 8
#error "Valkey's defragmentation is for a jemalloc with sizes in steps of 8: build zmalloc with -Djemalloc_quantum=8"
#endif
#endif

#include <zmalloc/zmalloc.h>

/* An unknown figure is 0. Any pointer may be NULL. Returns 1. */
int zserver_allocator_info(size_t *allocated, size_t *active, size_t *resident, size_t *retained, size_t *muzzy);
#define zmalloc_get_allocator_info zserver_allocator_info

/* Memory that was taken from malloc, by others than the library, goes back to the system. */
void zlibc_trim(void);

/* The pages from ptr on. They are whole ones, and so is size: nothing is rounded. */
void zmadvise_dontneed_range(void *ptr, size_t size);

/* A block that is known to have less than the least of pages, as hint says, needs no look; 0 is no hint. */
static inline void zserver_dontneed(void *ptr, size_t hint)
{
    enum { LEAST_PAGE = 4096 };
    if (ptr != NULL && (hint == 0 || hint >= LEAST_PAGE)) {
        zmadvise_dontneed(ptr);
    }
}
#define zmadvise_dontneed zserver_dontneed

static inline void *zmalloc_cache_aligned(size_t size)
{
    enum { CACHE_LINE = 64 };
    return zaligned_alloc(CACHE_LINE, size);
}

/* The names that the server's own symbols have. */
void *valkey_malloc(size_t size);
void *valkey_malloc_cache_aligned(size_t size);
void *valkey_calloc(size_t size);
void *valkey_realloc(void *ptr, size_t size);
void valkey_free(void *ptr);

#endif
