/* SPDX-License-Identifier: BSD-3-Clause */
/* The C library's malloc, the hot half. It has no way past its thread caches. */
#ifndef ZM_ALLOCATOR_LIBC_H
#define ZM_ALLOCATOR_LIBC_H

#include "allocator/standard.h"

#include <stdbool.h>
#include <stddef.h>

/* Where FreeBSD has what is not in the standard; its malloc.h used to be an error. */
#if __has_include(<malloc_np.h>)
#include <malloc_np.h>
#else
#include <malloc.h>
#endif

/* glibc aligns all its blocks; another malloc that was put before it may not. */
#define ZM_ALLOCATOR_UNALIGNED_UP_TO 8

/*
 * glibc has the size of a block in the word before it, as it has had since its first malloc. To read it there takes a
 * third of the instructions of the call. libc.c finds out whether it is there; elsewhere the word may be anything, or
 * not be readable. On other processors glibc may tag memory, which is then not to be read past a block's bounds.
 */
#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__i386__))
extern bool zm_libc_has_headers __attribute__((visibility("hidden")));

static inline size_t zm_libc_header(void *block)
{
    const size_t *words = block;
    __asm__("" : "+r"(words)); /* the compiler knows that malloc gave nothing before the block */
    return words[-1];
}
#else
enum { zm_libc_has_headers = false };

static inline size_t zm_libc_header(void *block)
{
    (void) block;
    return 0;
}
#endif

#ifdef __GLIBC__
#define ZM_ALLOCATOR_FREE_KEEPS_ERRNO __GLIBC_PREREQ(2, 33)
#endif

/* glibc's own posix_memalign takes 30 instructions more than its aligned_alloc, which takes any size. */
static inline void *zm_allocator_allocate_aligned(size_t alignment, size_t size)
{
    return __builtin_expect(zm_libc_has_headers, true) ? aligned_alloc(alignment, size)
                                                       : zm_standard_allocate_aligned(alignment, size);
}

static inline size_t zm_allocator_usable_size(void *block)
{
    enum { MAPPED = 2, FLAGS = 7 };
    if (block != NULL && __builtin_expect(zm_libc_has_headers, true)) {
        size_t header = zm_libc_header(block);
        if (__builtin_expect((header & MAPPED) == 0, true)) { /* what other blocks count depends on the version */
            return (header & ~(size_t) FLAGS) - sizeof(header);
        }
    }
    return malloc_usable_size(block);
}

static inline size_t zm_allocator_good_size(size_t size)
{
    (void) size;
    return 0;
}

#endif
