/* SPDX-License-Identifier: BSD-3-Clause */
/* tcmalloc (gperftools), the hot half. It has no way past its thread caches. */
#ifndef ZM_ALLOCATOR_TCMALLOC_H
#define ZM_ALLOCATOR_TCMALLOC_H

#include "allocator/size_table.h"

#include <gperftools/nallocx.h>
#include <gperftools/tcmalloc.h>
#include <stddef.h>

#define ZM_ALLOCATOR_UNALIGNED_UP_TO 8

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

static inline void *zm_allocator_allocate_aligned(size_t alignment, size_t size)
{
    return tc_memalign(alignment, size);
}

/* What memalign cut from whole pages must not be taken for a block of the class of its size. */
static inline void zm_allocator_free_sized(void *block, size_t usable)
{
    enum { SMALLEST_PAGE = 4096 };
    if ((uintptr_t) block % SMALLEST_PAGE == 0) {
        tc_free(block);
    } else {
        tc_free_sized(block, usable);
    }
}

/* tc_malloc_size, but for the first question: that makes tcmalloc allocate by operator new, which may come back to
 * us. See tcmalloc.c. A pointer, as a condition is two instructions more in every call. */
extern size_t (*zm_tcmalloc_size)(void *block) __attribute__((visibility("hidden")));

/* A plain read, as an atomic one is an instruction more too. */
__attribute__((no_sanitize("thread"))) static inline size_t zm_allocator_usable_size(void *block)
{
    return zm_tcmalloc_size(block);
}

#define ZM_ALLOCATOR_ANSWERS_LATER

static inline size_t zm_allocator_next_usable_size(void *block)
{
    return tc_malloc_size(block);
}

static inline size_t zm_allocator_good_size(size_t size)
{
    return tc_nallocx(size, 0);
}

#endif
