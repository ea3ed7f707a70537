/* SPDX-License-Identifier: BSD-3-Clause */
/* A program's own malloc, calloc and realloc, which count their calls and have glibc's do the work. */
#ifndef COUNTED_MALLOC_H
#define COUNTED_MALLOC_H

#include <stddef.h>

/* What glibc calls its own functions where a program brings others. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t number, size_t size);
void *__libc_realloc(void *block, size_t size);

static long calls;

void *malloc(size_t size)
{
    calls++;
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    calls++;
    return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size)
{
    calls++;
    return __libc_realloc(block, size);
}

#endif
