/* SPDX-License-Identifier: BSD-3-Clause */
/* What the sources of a preload library have in common: a block made and freed by the fast paths of z* calls. */
#ifndef ZM_PRELOAD_H
#define ZM_PRELOAD_H

#include "zmalloc.h"

#include "call.h"
#include "preload/errno_place.h"

#include <stdbool.h>
#include <stddef.h>

#define ZM_EXPORTED __attribute__((visibility("default")))
#define ZM_UNLIKELY(condition) __builtin_expect(condition, false)

/*
 * As ztrymalloc. Where the fast path does not apply, or has no block, `otherwise` starts from the beginning, and is
 * the last thing that is done: so the fast path keeps nothing for what follows a failure.
 */
static inline __attribute__((always_inline)) void *zm_preload_allocate(size_t size, void *(*otherwise)(size_t size))
{
    struct zm_thread *self = zm_early_self();
    if (!zm_new_may_be_fast(self, size)) {
        return otherwise(size);
    }
    if (ZM_COUNTED_BY_ALLOCATOR && ZM_HEAP_GOES_ON) {
        return zm_heap_allocate_or(size, otherwise);
    }
    size_t kept = zm_keep(size);
    void *block = zm_count_fast(self, zm_heap_allocate(size), kept, NULL);
    return ZM_LIKELY(block != NULL) ? block : otherwise(kept);
}

/* Both keep errno by asking the C library where it is. */
void zm_preload_free_slow(void *block);
void zm_preload_release_slow(void *block, size_t bytes);

/* As zfree, but POSIX wants errno as it was. Not by the name free, which the program may define itself. */
static inline __attribute__((always_inline)) void zm_preload_free(void *block)
{
    size_t bytes = 0;
    if (!zm_count_freed_fast(block, &bytes)) {
        zm_preload_free_slow(block);
        return;
    }
    if (ZM_ALLOCATOR_FREE_KEEPS_ERRNO) {
        zm_release_fast(block, bytes);
        return;
    }
    intptr_t place = zm_errno_place();
    if (ZM_UNLIKELY(place == 0)) {
        zm_preload_release_slow(block, bytes);
        return;
    }
    __asm__("" : "+r"(block)); /* not the one that was kept over the look-up of the size: errno can be kept there */
    int error = zm_errno_read(place);
    zm_release_fast(block, bytes);
    zm_errno_write(zm_errno_place(), error);
}

#endif
