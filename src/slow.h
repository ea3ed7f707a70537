/* SPDX-License-Identifier: BSD-3-Clause */
/* The slow paths of the calls that allocate: without a limit, and within one. */
#ifndef ZM_SLOW_H
#define ZM_SLOW_H

#include <stddef.h>

void *zm_try_malloc_slow(size_t size);
void *zm_malloc_slow(size_t size);
void *zm_try_calloc_slow(size_t size);
void *zm_calloc_slow(size_t size);

/* The same, for callers that may want the usable size, and after the fast path or one of those has failed. */
void *zm_try_malloc_anew(size_t size, size_t *usable);
void *zm_malloc_anew(size_t size, size_t *usable);
void *zm_try_calloc_anew(size_t size, size_t *usable);
void *zm_calloc_anew(size_t size, size_t *usable);
void *zm_malloc_uncached(size_t size);

#endif
