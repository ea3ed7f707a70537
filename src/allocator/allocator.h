/* SPDX-License-Identifier: BSD-3-Clause */
/* What an allocator is: a hot half, inlined into the z* calls, and a cold half that answers questions. */
#ifndef ZM_ALLOCATOR_H
#define ZM_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The hot half, in <name>.h. Sizes are never 0 and never above PTRDIFF_MAX, blocks never NULL. A size of at
 * least alignof(max_align_t) gives a block with that alignment. Failure is NULL, and leaves everything as it was.
 *
 *   void *zm_allocator_allocate(size_t size)
 *   void *zm_allocator_allocate_zeroed(size_t size)
 *   void *zm_allocator_reallocate(void *block, size_t size)
 *   void zm_allocator_free(void *block)
 *   size_t zm_allocator_usable_size(void *block)       constant for the life of a block
 *   void *zm_allocator_allocate_uncached(size_t size)  past the thread's cache where there is such a way
 *   void zm_allocator_free_uncached(void *block)
 *
 * The build says which one in ZM_ALLOCATOR_HOT_HALF; nothing else knows.
 */
#include ZM_ALLOCATOR_HOT_HALF

/* What an allocator can't tell. */
#define ZM_UNKNOWN SIZE_MAX

struct zm_allocator_info {
    size_t allocated; /* bytes in blocks handed out */
    size_t active;    /* bytes in pages that hold such blocks */
    size_t resident;  /* bytes held from the kernel */
};

/* The cold half, in <name>.c. An int is 0 or a negative errno. */
const char *zm_allocator_name(void); /* with the version: "libc-2.36" */
int zm_allocator_info(struct zm_allocator_info *info);
int zm_allocator_purge(void);
int zm_allocator_background_thread(bool run);

#endif
