/* SPDX-License-Identifier: BSD-3-Clause */
/* In the place of src/zmalloc.h in Redis 8: its calls that the library does not have, or has otherwise. */
#ifndef ZMALLOC_COMPAT_H
#define ZMALLOC_COMPAT_H

#define ZMALLOC_COMPAT_REDIS 8

#ifdef USE_JEMALLOC
#include <jemalloc/jemalloc.h>
#ifndef ZMALLOC_JEMALLOC
#error "deps/jemalloc is the server's own; put zmalloc's in its place: pkg-config --variable=deps_jemalloc zmalloc"
#endif
#define HAVE_DEFRAG

/* From an arena and through a cache that jemalloc made (MALLOCX_ARENA, MALLOCX_TCACHE). They are counted as any
 * block, and zfree may free them. While a limit is set they come from where all others do, as jemalloc knows of none.
 */
void *zmalloc_with_flags(size_t size, int flags);
void *zrealloc_with_flags(void *ptr, size_t size, int flags);
void zfree_with_flags(void *ptr, int flags);
#endif

#include <string.h>
#include <time.h>
#include <zmalloc/zmalloc.h>

/* An unknown figure is 0. Any pointer may be NULL. Both return 1. */
int zserver_allocator_info(int refresh, size_t *allocated, size_t *active, size_t *resident, size_t *retained,
                           size_t *muzzy, size_t *small_fragmentation);
#define zmalloc_get_allocator_info zserver_allocator_info

int zmalloc_get_allocator_info_by_arena(unsigned arena, int refresh, size_t *allocated, size_t *active,
                                        size_t *resident, size_t *small_fragmentation);

/* As zmalloc_peak_memory, and when the server first saw that peak; 0 while it has asked for none. */
size_t zmalloc_get_peak_memory(void);
time_t zmalloc_get_peak_memory_time(void);

static inline char *zstrdup_usable(const char *string, size_t *usable)
{
    size_t size = strlen(string) + 1;
    char *copy = (char *) zmalloc_usable(size, usable);
    return copy != NULL ? (char *) memcpy(copy, string, size) : NULL;
}

/* What was usable before goes to *old, which may be NULL. A request that fails leaves the block, and *old says so. */
static inline void *zrealloc_usable2(void *ptr, size_t size, size_t *usable, size_t *old)
{
    size_t before = zmalloc_usable_size(ptr);
    if (old != NULL) {
        *old = before;
    }
    return zrealloc_usable(ptr, size, usable);
}

static inline void *ztryrealloc_usable2(void *ptr, size_t size, size_t *usable, size_t *old)
{
    size_t before = zmalloc_usable_size(ptr);
    if (old != NULL) {
        *old = before;
    }
    return ztryrealloc_usable(ptr, size, usable);
}

/* Some versions give these two the old size as a fourth argument, others have other names for that. */
#define ZMALLOC_COMPAT_FIFTH(a, b, c, d, fifth, ...) fifth
#define zrealloc_usable(...)                                                                                         \
    ZMALLOC_COMPAT_FIFTH(__VA_ARGS__, zrealloc_usable2, zrealloc_usable, too_few_arguments, none)(__VA_ARGS__)
#define ztryrealloc_usable(...)                                                                                      \
    ZMALLOC_COMPAT_FIFTH(__VA_ARGS__, ztryrealloc_usable2, ztryrealloc_usable, too_few_arguments, none)(__VA_ARGS__)

#endif
