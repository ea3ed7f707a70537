/* SPDX-License-Identifier: BSD-3-Clause */
/* The C library's calls for memory, for a program that was never built for us: each is a z* call that keeps to C,
 * POSIX and, where those leave it open, to glibc. */
#include "preload/preload.h"
#include "preload/run.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* Here the call has another name, as what is below the z* calls may be the system's call of that name. */
#define EXPORT(type, name, arguments)                                                                                \
    ZM_EXPORTED type zm_exported_##name arguments __asm__(#name);                                                    \
    type zm_exported_##name arguments

static bool is_power_of_two(size_t number)
{
    return number != 0 && (number & (number - 1)) == 0;
}

static __attribute__((noinline, cold)) void *no_memory(size_t size)
{
    zm_run_failed(size);
    errno = ENOMEM;
    return NULL;
}

ZM_SLOW_PATH void zm_preload_free_slow(void *block)
{
    int error = errno;
    zfree(block);
    errno = error;
}

ZM_SLOW_PATH void zm_preload_release_slow(void *block, size_t bytes)
{
    int error = errno;
    zm_release_fast(block, bytes);
    errno = error;
}

static inline void *or_no_memory(void *block, size_t size)
{
    return ZM_UNLIKELY(block == NULL) ? no_memory(size) : block;
}

static void *invalid(void)
{
    errno = EINVAL;
    return NULL;
}

static ZM_SLOW_PATH void *malloc_slow(size_t size)
{
    return or_no_memory(ztrymalloc(size), size);
}

EXPORT(void *, malloc, (size_t size))
{
    return zm_preload_allocate(size, malloc_slow);
}

EXPORT(void *, calloc, (size_t count, size_t size))
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? no_memory(SIZE_MAX) : or_no_memory(ztrycalloc(bytes), bytes);
}

/* As in glibc, a block that is to have nothing is freed, and that is no error. */
static inline void *resize(void *block, size_t size)
{
    void *moved = ztryrealloc(block, size);
    return block != NULL && size == 0 ? NULL : or_no_memory(moved, size);
}

EXPORT(void *, realloc, (void *block, size_t size))
{
    return resize(block, size);
}

EXPORT(void *, reallocarray, (void *block, size_t count, size_t size))
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? no_memory(SIZE_MAX) : resize(block, bytes);
}

EXPORT(void, free, (void *block))
{
    zm_preload_free(block);
}

/* The name that free had before C89, for programs of that age. */
EXPORT(void, cfree, (void *block))
{
    zm_preload_free(block);
}

/* C23's. What the caller says of the block is no better than what the allocator knows. */
EXPORT(void, free_sized, (void *block, size_t size))
{
    (void) size;
    zm_preload_free(block);
}

EXPORT(void, free_aligned_sized, (void *block, size_t alignment, size_t size))
{
    (void) alignment;
    (void) size;
    zm_preload_free(block);
}

EXPORT(void *, aligned_alloc, (size_t alignment, size_t size))
{
    return is_power_of_two(alignment) ? or_no_memory(ztryaligned_alloc(alignment, size), size) : invalid();
}

/* It takes the next power of two, which no standard asks for, but glibc does. */
EXPORT(void *, memalign, (size_t alignment, size_t size))
{
    size_t power = _Alignof(max_align_t);
    if (alignment > SIZE_MAX / 2 + 1) {
        return invalid();
    }
    while (power < alignment) {
        power *= 2;
    }
    return or_no_memory(ztryaligned_alloc(power, size), size);
}

/* Neither errno nor *block is touched by an error. */
EXPORT(int, posix_memalign, (void **block, size_t alignment, size_t size))
{
    if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0) {
        return EINVAL;
    }
    int error = errno;
    void *aligned = ztryaligned_alloc(alignment, size);
    errno = error;
    if (aligned == NULL) {
        zm_run_failed(size);
        return ENOMEM;
    }
    *block = aligned;
    return 0;
}

static size_t page_size(void)
{
    return (size_t) sysconf(_SC_PAGESIZE);
}

EXPORT(void *, valloc, (size_t size))
{
    return or_no_memory(ztryaligned_alloc(page_size(), size), size);
}

EXPORT(void *, pvalloc, (size_t size))
{
    size_t last = page_size() - 1;
    if (size > SIZE_MAX - last) {
        return no_memory(size);
    }
    return or_no_memory(ztryaligned_alloc(last + 1, (size + last) & ~last), size);
}

EXPORT(size_t, malloc_usable_size, (void *block))
{
    return zmalloc_usable_size(block);
}
