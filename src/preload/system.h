/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The C library's own malloc, by the names that nobody but glibc has. A preload library for it defines malloc, so
 * what lies below the z* calls must not call malloc. Included before everything else, by the compiler's command line.
 */
#ifndef ZM_PRELOAD_SYSTEM_H
#define ZM_PRELOAD_SYSTEM_H

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>

void *malloc(size_t size) __asm__("__libc_malloc");
void *calloc(size_t count, size_t size) __asm__("__libc_calloc");
void *realloc(void *block, size_t size) __asm__("__libc_realloc");
void *aligned_alloc(size_t alignment, size_t size) __asm__("__libc_memalign");
void free(void *block) __asm__("__libc_free");

static inline int zm_system_posix_memalign(void **block, size_t alignment, size_t size)
{
    *block = aligned_alloc(alignment, size);
    return *block == NULL;
}
#define posix_memalign zm_system_posix_memalign

/* This one has no such name: see system.c. */
typedef size_t zm_system_size_call(void *block);
extern zm_system_size_call *zm_system_usable_size __attribute__((visibility("hidden")));
#define malloc_usable_size zm_system_usable_size

#endif
