/* SPDX-License-Identifier: BSD-3-Clause */
/* jemalloc, the hot half: private with the prefix je_, or the system's by the names that it alone has. */
#ifndef ZM_ALLOCATOR_JEMALLOC_H
#define ZM_ALLOCATOR_JEMALLOC_H

#include "allocator/size_table.h"

#include <jemalloc/jemalloc.h>

/*
 * A private one counts for us alone. The system's serves the whole process, so zmalloc counts for itself there,
 * and calls only names that no other allocator has.
 */
#ifdef ZM_JEMALLOC_PRIVATE

#define ZM_JEMALLOC(name) je_##name
#define ZM_ALLOCATOR_COUNTS true
#define ZM_ALLOCATOR_REALLOCATES_ALIKE
#define ZM_ALLOCATOR_UNALIGNED_UP_TO 0 /* as we build it */

/* jemalloc's counters have 64 bits everywhere; we take the word that holds the low ones. */
static inline const _Atomic size_t *zm_jemalloc_low_word(const uint64_t *counter)
{
    enum { WORDS = sizeof(*counter) / sizeof(size_t), LOW = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? WORDS - 1 : 0 };
    return (const _Atomic size_t *) counter + LOW;
}

static inline int zm_allocator_thread_counters(const _Atomic size_t **allocated, const _Atomic size_t **freed)
{
    const uint64_t *counters[2];
    size_t length = sizeof(counters[0]);
    int error = je_mallctl("thread.allocatedp", &counters[0], &length, NULL, 0);
    if (error == 0) {
        error = je_mallctl("thread.deallocatedp", &counters[1], &length, NULL, 0);
    }
    if (error == 0) {
        *allocated = zm_jemalloc_low_word(counters[0]);
        *freed = zm_jemalloc_low_word(counters[1]);
    }
    return -error;
}

static inline void *zm_allocator_allocate(size_t size)
{
    return je_malloc(size);
}

static inline void *zm_allocator_allocate_zeroed(size_t size)
{
    return je_calloc(1, size);
}

static inline void *zm_allocator_reallocate(void *block, size_t size)
{
    return je_realloc(block, size);
}

static inline void zm_allocator_free(void *block)
{
    je_free(block);
}

#else

#define ZM_JEMALLOC(name) name
#define ZM_ALLOCATOR_UNALIGNED_UP_TO 8

static inline void *zm_allocator_allocate(size_t size)
{
    return mallocx(size, 0);
}

static inline void *zm_allocator_allocate_zeroed(size_t size)
{
    return mallocx(size, MALLOCX_ZERO);
}

static inline void *zm_allocator_reallocate(void *block, size_t size)
{
    return rallocx(block, size, 0);
}

static inline void zm_allocator_free(void *block)
{
    if (block != NULL) {
        dallocx(block, 0);
    }
}

#endif

static inline void *zm_allocator_allocate_aligned(size_t alignment, size_t size)
{
    return ZM_JEMALLOC(mallocx)(size, MALLOCX_ALIGN(alignment));
}

static inline void zm_allocator_free_sized(void *block, size_t usable)
{
    if (block != NULL) {
        ZM_JEMALLOC(sdallocx)(block, usable, 0);
    }
}

static inline size_t zm_allocator_usable_size(void *block)
{
    return block != NULL ? ZM_JEMALLOC(sallocx)(block, 0) : 0;
}

static inline size_t zm_allocator_good_size(size_t size)
{
    size_t good = ZM_JEMALLOC(nallocx)(size, 0);
    return good != 0 ? good : SIZE_MAX;
}

#define ZM_ALLOCATOR_DECAYS
#define ZM_ALLOCATOR_GOES_UNCACHED

static inline void *zm_allocator_allocate_uncached(size_t size)
{
    return ZM_JEMALLOC(mallocx)(size, MALLOCX_TCACHE_NONE);
}

static inline void zm_allocator_free_uncached(void *block)
{
    ZM_JEMALLOC(dallocx)(block, MALLOCX_TCACHE_NONE);
}

#endif
