/* SPDX-License-Identifier: BSD-3-Clause */
/* jemalloc, the hot half: private with the prefix je_, or the system's by the names that it alone has. */
#ifndef ZM_ALLOCATOR_JEMALLOC_H
#define ZM_ALLOCATOR_JEMALLOC_H

#ifndef ZM_JEMALLOC_PRIVATE
#include "allocator/size_table.h"
#endif

#include <errno.h>
#include <jemalloc/jemalloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* By our patch: mallctl would have to start, and look up names. */
extern bool je_thread_counters(uint64_t **allocated, uint64_t **deallocated);

static inline int zm_allocator_thread_counters(const _Atomic size_t **allocated, const _Atomic size_t **freed)
{
    uint64_t *counters[2];
    if (je_thread_counters(&counters[0], &counters[1])) {
        return -ENOMEM;
    }
    *allocated = zm_jemalloc_low_word(counters[0]);
    *freed = zm_jemalloc_low_word(counters[1]);
    return 0;
}

/* The step between its smallest size classes, as it chooses it by the processor, or as we had it built. */
#if defined(ZMALLOC_QUANTUM) || defined(__arm__) || defined(__m68k__) || defined(__nios2__) || defined(__or1k__) ||  \
    defined(__arc__) || (defined(__mips__) && !defined(__mips_n32) && !defined(__mips_n64))
enum { ZM_JEMALLOC_LG_QUANTUM = 3 };
#else
enum { ZM_JEMALLOC_LG_QUANTUM = 4 };
#endif

/* From 5.3.1 on an option, which is on by default, has it round large blocks to whole pages. Sizes up to three and a
 * half pages are never large. */
#define ZM_JEMALLOC_NUMBER (JEMALLOC_VERSION_MAJOR * 10000 + JEMALLOC_VERSION_MINOR * 100 + JEMALLOC_VERSION_BUGFIX)
#define ZM_JEMALLOC_CLASSES_UP_TO (ZM_JEMALLOC_NUMBER <= 50300 ? SIZE_MAX : (size_t) 7 << 11)

/* The size class of a request, which is the usable size of its block: each doubling has four classes, and their step
 * is never less than the quantum. Computed, as to ask for it takes as long as to allocate. */
static inline size_t zm_jemalloc_class(size_t size)
{
    enum { LG_STEPS = 2, HIGHEST_BIT = sizeof(unsigned long) * 8 - 1 };
    if (size > ZM_JEMALLOC_CLASSES_UP_TO) {
        size_t asked = je_nallocx(size, 0);
        return asked != 0 ? asked : SIZE_MAX;
    }
    size_t last = size - 1;
    unsigned long bits = last | (size_t) 1 << (ZM_JEMALLOC_LG_QUANTUM + LG_STEPS);
    unsigned lg_step = ((unsigned) __builtin_clzl(bits) ^ HIGHEST_BIT) - LG_STEPS;
    return ((last >> lg_step) + 1) << lg_step;
}

#define ZM_ALLOCATOR_GRANTS_UP_TO SIZE_MAX
#define ZM_ALLOCATOR_GRANTS_ROUNDING 0
#define ZM_ALLOCATOR_ALIGNS_CLASSES true

static inline bool zm_allocator_grants(void)
{
    return true;
}

static inline size_t zm_allocator_granted_size(void *block, size_t size)
{
    (void) block;
    return zm_jemalloc_class(size);
}

static inline size_t zm_allocator_good_size(size_t size)
{
    return size <= PTRDIFF_MAX ? zm_jemalloc_class(size) : SIZE_MAX; /* the last ones are larger than it has */
}

/*
 * In a shared library, to find a thread's storage takes a call. Who calls these has just found ours, and jemalloc's
 * lies at a fixed distance from it: we pass it on. A program knows where either is. The names are from our patch.
 *
 * Mostly jemalloc has a block at hand. Where it has none, it goes on with what we pass to it: so the fast path of a
 * call ends with jemalloc's, and has nothing to look at after it, nor to keep. What is passed is where jemalloc's
 * fast path does not compute; before it there may be anything.
 */
#if defined(JEMALLOC_TLS) && defined(__PIC__) && !defined(__PIE__)
#define ZM_JEMALLOC_PASSES_TSD
#endif

#ifdef __x86_64__
#define ZM_JEMALLOC_AFTER_FIRST size_t any, size_t any_too, size_t any_more,
#define ZM_JEMALLOC_ANY zm_jemalloc_any(), zm_jemalloc_any(), zm_jemalloc_any(),

static inline size_t zm_jemalloc_any(void)
{
    size_t any;
    __asm__ volatile("" : "=r"(any)); /* each is another, or they would be copied */
    return any;
}
#else
#define ZM_JEMALLOC_AFTER_FIRST
#define ZM_JEMALLOC_ANY
#endif

#define ZM_ALLOCATOR_GOES_ON true
typedef void *zm_allocator_next(size_t size);
#ifdef ZM_JEMALLOC_PASSES_TSD
struct tsd_s;
extern _Thread_local struct tsd_s je_tsd_tls __attribute__((visibility("hidden")));
extern void je_free_tsd(void *block, ZM_JEMALLOC_AFTER_FIRST struct tsd_s *tsd);
extern void *je_malloc_tsd_or(size_t size, ZM_JEMALLOC_AFTER_FIRST struct tsd_s *tsd, zm_allocator_next *next);
#else
extern void *je_malloc_or(size_t size, ZM_JEMALLOC_AFTER_FIRST zm_allocator_next *next);
#endif
extern void *je_malloc_default(size_t size);

static inline void *zm_allocator_allocate_or(size_t size, zm_allocator_next *next)
{
#ifdef ZM_JEMALLOC_PASSES_TSD
    return je_malloc_tsd_or(size, ZM_JEMALLOC_ANY & je_tsd_tls, next);
#else
    return je_malloc_or(size, ZM_JEMALLOC_ANY next);
#endif
}

/* For who was gone on with. */
static inline void *zm_allocator_allocate_slow(size_t size)
{
    return je_malloc_default(size);
}

static inline void *zm_allocator_allocate(size_t size)
{
#ifdef ZM_JEMALLOC_PASSES_TSD
    return zm_allocator_allocate_or(size, je_malloc_default);
#else
    return je_malloc(size);
#endif
}

static inline void *zm_allocator_allocate_zeroed(size_t size)
{
    return je_calloc(1, size);
}

static inline void *zm_allocator_allocate_aligned(size_t alignment, size_t size)
{
    return je_mallocx(size, MALLOCX_ALIGN(alignment));
}

static inline void *zm_allocator_reallocate(void *block, size_t size)
{
    return je_realloc(block, size);
}

static inline void zm_allocator_free(void *block)
{
#ifdef ZM_JEMALLOC_PASSES_TSD
    je_free_tsd(block, ZM_JEMALLOC_ANY & je_tsd_tls);
#else
    je_free(block);
#endif
}

#else

#define ZM_JEMALLOC(name) name
#define ZM_ALLOCATOR_UNALIGNED_UP_TO 8

static inline size_t zm_allocator_good_size(size_t size)
{
    size_t good = nallocx(size, 0);
    return good != 0 ? good : SIZE_MAX;
}

static inline void *zm_allocator_allocate(size_t size)
{
    return mallocx(size, 0);
}

static inline void *zm_allocator_allocate_zeroed(size_t size)
{
    return mallocx(size, MALLOCX_ZERO);
}

static inline void *zm_allocator_allocate_aligned(size_t alignment, size_t size)
{
    return mallocx(size, MALLOCX_ALIGN(alignment));
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

#define ZM_ALLOCATOR_DECAYS
#define ZM_ALLOCATOR_GOES_UNCACHED
#define ZM_ALLOCATOR_HINTS_DEFRAG

static inline void *zm_allocator_allocate_uncached(size_t size)
{
    return ZM_JEMALLOC(mallocx)(size, MALLOCX_TCACHE_NONE);
}

static inline void zm_allocator_free_uncached(void *block)
{
    ZM_JEMALLOC(dallocx)(block, MALLOCX_TCACHE_NONE);
}

#endif
