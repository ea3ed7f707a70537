/* SPDX-License-Identifier: BSD-3-Clause */
/* The C library's malloc, the hot half. It has no way past its thread caches. */
#ifndef ZM_ALLOCATOR_LIBC_H
#define ZM_ALLOCATOR_LIBC_H

#include "allocator/standard.h"

/* Where FreeBSD has what is not in the standard; its malloc.h used to be an error. */
#if __has_include(<malloc_np.h>)
#include <malloc_np.h>
#else
#include <malloc.h>
#endif

/* glibc aligns all its blocks; another malloc that was put before it may not. */
#define ZM_ALLOCATOR_UNALIGNED_UP_TO 8

static inline size_t zm_allocator_usable_size(void *block)
{
    return malloc_usable_size(block);
}

static inline size_t zm_allocator_good_size(size_t size)
{
    (void) size;
    return 0;
}

#endif
