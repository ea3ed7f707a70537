/* SPDX-License-Identifier: BSD-3-Clause */
/* In the place of a server's src/zmalloc.c: what it calls beyond the library, as the zmalloc.h beside it says. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "zmalloc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __linux__
#include <malloc.h>
#include <sys/mman.h>
#endif

#ifdef USE_JEMALLOC

/* The first call after another epoch takes jemalloc's figures anew. */
static inline void take_figures(void)
{
    uint64_t epoch = 1;
    je_mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
}

/* What jemalloc does not have is 0. */
static inline size_t figure(const char *name)
{
    size_t value = 0;
    size_t size = sizeof(value);
    return je_mallctl(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

static inline size_t figure_of(unsigned arena, const char *name)
{
    char whole[96];
    snprintf(whole, sizeof(whole), "stats.arenas.%u.%s", arena, name);
    return figure(whole);
}

/* A figure that each bin has: its name is looked up for the first bin, and then only the numbers in it change. */
static inline size_t figure_of_bin(const char *name, unsigned place, unsigned bin, unsigned arena)
{
    enum { LONGEST = 6, PLACE_OF_ARENA = 2 };
    size_t mib[LONGEST];
    size_t length = LONGEST;
    size_t value = 0;
    size_t size = sizeof(value);
    if (je_mallctlnametomib(name, mib, &length) != 0) {
        return 0;
    }
    mib[PLACE_OF_ARENA] = arena;
    mib[place] = bin;
    return je_mallctlbymib(mib, length, &value, &size, NULL, 0) == 0 ? value : 0;
}

/* Of places that a bin's slabs have. */
static inline size_t places_of_bin(unsigned bin)
{
    char name[64];
    uint32_t places = 0;
    size_t size = sizeof(places);
    snprintf(name, sizeof(name), "arenas.bin.%u.nregs", bin);
    return je_mallctl(name, &places, &size, NULL, 0) == 0 ? places : 0;
}

/* The bytes of free places in slabs that are set up for small blocks. */
static inline size_t small_fragmentation_of(unsigned arena)
{
    enum { PLACE = 4, PLACE_OF_SIZE = 2 };
    unsigned bins = 0;
    size_t size = sizeof(bins);
    size_t free_bytes = 0;
    je_mallctl("arenas.nbins", &bins, &size, NULL, 0);
    for (unsigned bin = 0; bin < bins; bin++) {
        size_t slabs = figure_of_bin("stats.arenas.0.bins.0.curslabs", PLACE, bin, arena);
        size_t blocks = figure_of_bin("stats.arenas.0.bins.0.curregs", PLACE, bin, arena);
        size_t bytes = figure_of_bin("arenas.bin.0.size", PLACE_OF_SIZE, bin, bin);
        free_bytes += (slabs * places_of_bin(bin) - blocks) * bytes;
    }
    return free_bytes;
}

#endif

#if defined(ZMALLOC_COMPAT_REDIS) || defined(ZMALLOC_COMPAT_VALKEY)

static inline void set(size_t *figure, size_t value)
{
    if (figure != NULL) {
        *figure = value != ZMALLOC_UNKNOWN ? value : 0;
    }
}

/* By jemalloc's own figures; or by the report, which also asks the kernel and takes some microseconds. */
static inline void set_all(size_t *allocated, size_t *active, size_t *resident, size_t *retained, size_t *muzzy)
{
#ifdef USE_JEMALLOC
    set(allocated, figure("stats.allocated"));
    set(active, figure("stats.active"));
    set(resident, figure("stats.resident"));
    set(retained, figure("stats.retained"));
    set(muzzy, figure_of(MALLCTL_ARENAS_ALL, "pmuzzy") * figure("arenas.page"));
#else
    struct zmalloc_report report = {.size = sizeof(report)};
    zmalloc_report(&report, 0);
    set(allocated, report.allocated);
    set(active, report.active);
    set(resident, report.resident);
    set(retained, report.retained);
    set(muzzy, report.muzzy);
#endif
}

#endif

#if defined(ZMALLOC_COMPAT_REDIS) && ZMALLOC_COMPAT_REDIS >= 8

int zserver_allocator_info(int refresh, size_t *allocated, size_t *active, size_t *resident, size_t *retained,
                           size_t *muzzy, size_t *small_fragmentation)
{
#ifdef USE_JEMALLOC
    if (refresh) {
        take_figures();
    }
    set(small_fragmentation, small_fragmentation_of(MALLCTL_ARENAS_ALL));
#else
    (void) refresh;
    set(small_fragmentation, 0);
#endif
    set_all(allocated, active, resident, retained, muzzy);
    return 1;
}

int zmalloc_get_allocator_info_by_arena(unsigned arena, int refresh, size_t *allocated, size_t *active,
                                        size_t *resident, size_t *small_fragmentation)
{
#ifdef USE_JEMALLOC
    if (refresh) {
        take_figures();
    }
    set(allocated, figure_of(arena, "small.allocated") + figure_of(arena, "large.allocated"));
    set(active, figure_of(arena, "pactive") * figure("arenas.page"));
    set(resident, figure_of(arena, "resident"));
    set(small_fragmentation, small_fragmentation_of(arena));
#else
    (void) arena;
    (void) refresh;
    set(allocated, 0);
    set(active, 0);
    set(resident, 0);
    set(small_fragmentation, 0);
#endif
    return 1;
}

static size_t peak;
static time_t peak_time;

/* For one thread, as a server's cron is. */
size_t zmalloc_get_peak_memory(void)
{
    size_t now = zmalloc_peak_memory();
    if (now != peak) {
        peak = now;
        peak_time = time(NULL);
    }
    return now;
}

time_t zmalloc_get_peak_memory_time(void)
{
    return peak_time;
}

#ifdef USE_JEMALLOC

/*
 * Whether what jemalloc's own calls do is in the account: it is where the library counts this thread by jemalloc's
 * counters. Where there is no memory to begin that, and within a limit, the library's calls do the work.
 */
static bool may_ask_jemalloc(void)
{
    static _Thread_local bool counted;
    if (!counted) {
        zfree(ztrymalloc(1)); /* the library begins to count */
        size_t before = zmalloc_thread_allocated();
        void *block = je_mallocx(1, 0);
        counted = zmalloc_thread_allocated() != before;
        if (block != NULL) {
            je_dallocx(block, 0);
        }
    }
    return counted && zmalloc_limit() == 0 && zmalloc_soft_limit() == 0;
}

void *zmalloc_with_flags(size_t size, int flags)
{
    void *block = may_ask_jemalloc() ? je_mallocx(size != 0 ? size : 1, flags) : NULL;
    return block != NULL ? block : zmalloc(size); /* which calls the handler, if need be */
}

void *zrealloc_with_flags(void *ptr, size_t size, int flags)
{
    if (ptr == NULL) {
        return zmalloc_with_flags(size, flags);
    }
    if (size == 0) {
        zfree_with_flags(ptr, flags);
        return NULL;
    }
    void *moved = may_ask_jemalloc() ? je_rallocx(ptr, size, flags) : NULL;
    return moved != NULL ? moved : zrealloc(ptr, size); /* the old block stays if that fails too */
}

void zfree_with_flags(void *ptr, int flags)
{
    if (ptr != NULL && may_ask_jemalloc()) {
        je_dallocx(ptr, flags);
    } else {
        zfree(ptr);
    }
}

#endif
#endif

#ifdef ZMALLOC_COMPAT_VALKEY

int zserver_allocator_info(size_t *allocated, size_t *active, size_t *resident, size_t *retained, size_t *muzzy)
{
#ifdef USE_JEMALLOC
    take_figures();
#endif
    set_all(allocated, active, resident, retained, muzzy);
    return 1;
}

void zlibc_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void zmadvise_dontneed_range(void *ptr, size_t size)
{
#ifdef __linux__
    if (ptr != NULL && size != 0) {
        madvise(ptr, size, MADV_DONTNEED);
    }
#else
    (void) ptr;
    (void) size;
#endif
}

void *valkey_malloc(size_t size)
{
    return zmalloc(size);
}

void *valkey_malloc_cache_aligned(size_t size)
{
    return zmalloc_cache_aligned(size);
}

void *valkey_calloc(size_t size)
{
    return zcalloc(size);
}

void *valkey_realloc(void *ptr, size_t size)
{
    return zrealloc(ptr, size);
}

void valkey_free(void *ptr)
{
    zfree(ptr);
}

#endif
