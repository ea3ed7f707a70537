/* SPDX-License-Identifier: BSD-3-Clause */
/* What an allocator is: a hot half, inlined into the z* calls, and a cold half that answers questions. */
#ifndef ZM_ALLOCATOR_H
#define ZM_ALLOCATOR_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The hot half, in <name>.h. Sizes are never 0; above PTRDIFF_MAX they fail. Blocks are aligned for max_align_t if
 * the size is above ZM_ALLOCATOR_UNALIGNED_UP_TO. Failure is NULL, and leaves everything as it was. The two kinds
 * of free take NULL and ignore it; its usable size is 0.
 *
 *   void *zm_allocator_allocate(size_t size)
 *   void *zm_allocator_allocate_zeroed(size_t size)
 *   void *zm_allocator_allocate_aligned(size_t alignment, size_t size)   a power of two, at least max_align_t's
 *   void *zm_allocator_reallocate(void *block, size_t size)
 *   void zm_allocator_free(void *block)
 *   void zm_allocator_free_sized(void *block, size_t usable)   its usable size, to save a look-up
 *   size_t zm_allocator_usable_size(void *block)               constant for the life of a block
 *   size_t zm_allocator_good_size(size_t size)                 what a request would get; 0: can't tell; above
 *                                                              PTRDIFF_MAX: it would fail
 *
 * The build says which one in ZM_ALLOCATOR_HOT_HALF; nothing else knows.
 */
#include ZM_ALLOCATOR_HOT_HALF

/* The usable size once this has been asked for one: one whose first answer is a special case defines it itself. */
#ifndef ZM_ALLOCATOR_ANSWERS_LATER
static inline size_t zm_allocator_next_usable_size(void *block)
{
    return zm_allocator_usable_size(block);
}
#endif

/*
 * What the block that was asked for with size got: quicker than its usable size, if zm_allocator_grants(), and up to
 * the limit; not after reallocate, but for an allocator that counts. One with a table of its size classes has these
 * from size_table.h.
 *
 * ZM_ALLOCATOR_ALIGNS_CLASSES: a small block is nearly always aligned for each power of two that its size is a
 * multiple of, and the size of a request that is such a multiple is one too. So it is where blocks of a class stand
 * one behind the other from a page's begin.
 */
#ifndef ZM_ALLOCATOR_GRANTS_UP_TO
#define ZM_ALLOCATOR_GRANTS_UP_TO SIZE_MAX
#define ZM_ALLOCATOR_GRANTS_ROUNDING 0
#define ZM_ALLOCATOR_ALIGNS_CLASSES false

static inline bool zm_allocator_grants(void)
{
    return true;
}

static inline size_t zm_allocator_granted_size(void *block, size_t size)
{
    (void) size;
    return zm_allocator_usable_size(block);
}
#endif

/*
 * The most that reallocate may give for a request. Some give more than for a new block, so that the next growth finds
 * room: twice the size and some pages are no less than any does. One that does not defines
 * ZM_ALLOCATOR_REALLOCATES_ALIKE.
 */
static inline size_t zm_allocator_most_size(size_t size)
{
#ifdef ZM_ALLOCATOR_REALLOCATES_ALIKE
    return zm_allocator_good_size(size);
#else
    enum { ROUNDING = 8 << 10 };
    return size <= (PTRDIFF_MAX - ROUNDING) / 2 ? 2 * size + ROUNDING : PTRDIFF_MAX; /* no block is larger */
#endif
}

/* One that has a way past the thread's cache defines ZM_ALLOCATOR_GOES_UNCACHED and these two itself. */
#ifndef ZM_ALLOCATOR_GOES_UNCACHED
static inline void *zm_allocator_allocate_uncached(size_t size)
{
    return zm_allocator_allocate(size);
}

static inline void zm_allocator_free_uncached(void *block)
{
    zm_allocator_free(block);
}
#endif

/*
 * One that can be told what to do next where it has no block at hand, which then begins with allocate_slow, defines
 * ZM_ALLOCATOR_GOES_ON and these two itself.
 */
#ifndef ZM_ALLOCATOR_GOES_ON
#define ZM_ALLOCATOR_GOES_ON false

static inline void *zm_allocator_allocate_slow(size_t size)
{
    return zm_allocator_allocate(size);
}

static inline void *zm_allocator_allocate_or(size_t size, void *(*next)(size_t size))
{
    return next(size);
}
#endif

/* One whose free leaves errno as it was, whatever the kernel refuses, defines it as true. */
#ifndef ZM_ALLOCATOR_FREE_KEEPS_ERRNO
#define ZM_ALLOCATOR_FREE_KEEPS_ERRNO false
#endif

/*
 * An allocator that counts what each thread allocates and frees, by usable sizes and for zmalloc alone, defines
 * ZM_ALLOCATOR_COUNTS and tells where this thread's counters are. They only grow, and only this thread writes them.
 */
#ifndef ZM_ALLOCATOR_COUNTS
#define ZM_ALLOCATOR_COUNTS false

static inline int zm_allocator_thread_counters(const _Atomic size_t **allocated, const _Atomic size_t **freed)
{
    (void) allocated;
    (void) freed;
    return -ENOTSUP;
}
#endif

/* What moving a block would do. */
struct zm_defrag_hint {
    bool helps;     /* to empty a slab: pages for blocks of one size */
    size_t empties; /* bytes of the slab if no other block is in it, or 0 */
};

/*
 * One that can tell that, and has a place for a block that moves, defines ZM_ALLOCATOR_HINTS_DEFRAG. -ENOTSUP: it
 * can't after all. The place is in the block's own arena, past the thread's cache, for as many bytes as the block
 * has: so it is as well aligned, as only blocks in slabs are worth moving.
 */
#ifdef ZM_ALLOCATOR_HINTS_DEFRAG
int zm_allocator_prepare_defrag(void);
int zm_allocator_defrag_hint(void *block, struct zm_defrag_hint *hint);
void *zm_allocator_allocate_for_move(void *block, size_t size);
#else
static inline int zm_allocator_prepare_defrag(void)
{
    return -ENOTSUP;
}

static inline int zm_allocator_defrag_hint(void *block, struct zm_defrag_hint *hint)
{
    (void) block;
    (void) hint;
    return -ENOTSUP;
}

static inline void *zm_allocator_allocate_for_move(void *block, size_t size)
{
    (void) block;
    return zm_allocator_allocate_uncached(size);
}
#endif

/* What an allocator can't tell. */
#define ZM_UNKNOWN SIZE_MAX

struct zm_allocator_info {
    size_t allocated;       /* bytes in blocks handed out */
    size_t active;          /* bytes in pages that hold such blocks */
    size_t resident;        /* bytes held from the kernel */
    size_t mapped;          /* bytes of address space for blocks; without what is retained */
    size_t retained;        /* bytes of address space kept for later, whose memory the kernel has back */
    size_t metadata;        /* bytes for the allocator's own use */
    size_t muzzy;           /* bytes that the kernel may take, and are not resident for the allocator */
    size_t small_allocated; /* bytes in small blocks handed out, */
    size_t small_active;    /* and in all the places for such blocks in the pages that are set up for them */
};

/* The cold half, in <name>.c. An int is 0 or a negative errno. */
const char *zm_allocator_name(void);                   /* with the version: "libc-2.36" */
int zm_allocator_info(struct zm_allocator_info *info); /* what it can't tell is left as it is */
int zm_allocator_purge(void);

/*
 * One that gives unused pages back in time, by itself, defines ZM_ALLOCATOR_DECAYS. Times are milliseconds, -1:
 * never; dirty pages become muzzy (the kernel may have them) and then clean (it has them).
 */
#ifdef ZM_ALLOCATOR_DECAYS
int zm_allocator_run_background_thread(bool run);
int zm_allocator_background_thread_runs(bool *runs);
int zm_allocator_decay(long *dirty, long *muzzy);
int zm_allocator_set_decay(long dirty, long muzzy);
#else
static inline int zm_allocator_run_background_thread(bool run)
{
    (void) run;
    return -ENOTSUP;
}

static inline int zm_allocator_background_thread_runs(bool *runs)
{
    (void) runs;
    return -ENOTSUP;
}

static inline int zm_allocator_decay(long *dirty, long *muzzy)
{
    (void) dirty;
    (void) muzzy;
    return -ENOTSUP;
}

static inline int zm_allocator_set_decay(long dirty, long muzzy)
{
    (void) dirty;
    (void) muzzy;
    return -ENOTSUP;
}
#endif

#endif
