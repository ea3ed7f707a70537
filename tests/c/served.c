/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which allocator serves a block? This program puts a malloc of its own, which counts, before everyone else's. Only
 * the allocator called "libc" may come by it; every other is asked whether a block is its own, where it can be.
 */
#include "counted_malloc.h"
#include "zmalloc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

void *memalign(size_t alignment, size_t size)
{
    calls++;
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    *block = memalign(alignment, size);
    return *block != NULL ? 0 : ENOMEM;
}

void free(void *block)
{
    calls++;
    __libc_free(block);
}

/* Each allocator's own question; there only where that allocator is, and where its names are to be seen. */
__attribute__((weak)) int je_mallctl(const char *name, void *old, size_t *old_length, void *new, size_t new_length);
__attribute__((weak)) int MallocExtension_GetOwnership(const void *block);
__attribute__((weak)) bool mi_is_in_heap_region(const void *block);

static bool allocator_is(const char *name)
{
    return strncmp(ZMALLOC_LIB, name, strlen(name)) == 0;
}

static bool jemalloc_owns(const void *block)
{
    unsigned arena;
    size_t length = sizeof(arena);
    return je_mallctl("arenas.lookup", &arena, &length, &block, sizeof(block)) == 0;
}

/* jemalloc may be asked about its own blocks alone: with any other address it reads where nothing is. */
static bool can_tell_strangers(void)
{
    return !allocator_is("jemalloc");
}

static bool can_tell_owner(void)
{
    return (allocator_is("jemalloc") && je_mallctl != NULL) ||
           (allocator_is("tcmalloc") && MallocExtension_GetOwnership != NULL) ||
           (allocator_is("mimalloc") && mi_is_in_heap_region != NULL);
}

static bool owns(const void *block)
{
    if (allocator_is("jemalloc")) {
        return jemalloc_owns(block);
    }
    return allocator_is("tcmalloc") ? MallocExtension_GetOwnership(block) == 1 : mi_is_in_heap_region(block);
}

static void check_at(int line, bool holds, const char *condition)
{
    if (!holds) {
        fprintf(stderr, "line %d, %s: not so: %s\n", line, ZMALLOC_LIB, condition);
        exit(1);
    }
}

#define check(condition) check_at(__LINE__, (condition), #condition)

static void make_all(void **blocks)
{
    size_t i = 0;
    blocks[i++] = zmalloc(100);
    blocks[i++] = ztrymalloc(5000);
    blocks[i++] = zmalloc_usable(3, NULL);
    blocks[i++] = ztrymalloc_usable(300000, NULL);
    blocks[i++] = zmalloc_no_tcache(64);
    blocks[i++] = zcalloc(24);
    blocks[i++] = zcalloc_num(3, 1000);
    blocks[i++] = ztrycalloc(0);
    blocks[i++] = zrealloc(NULL, 50);
    blocks[i++] = zrealloc(zmalloc(10), 100000);
    blocks[i++] = ztryrealloc(zmalloc(100000), 10);
    blocks[i++] = zstrdup("a string");
}

enum { KINDS = 12 };

static void free_all(void **blocks)
{
    size_t i = 0;
    zfree_usable(blocks[i++], NULL);
    zfree_no_tcache(blocks[i++]);
    blocks[i] = zrealloc(blocks[i], 0);
    for (i++; i < KINDS; i++) {
        zfree(blocks[i]);
    }
}

int main(int argc, char **argv)
{
    (void) argv;
    void *blocks[KINDS];
    void *of_libc = malloc(100);
    check(calls > 0);

    /* Once before the count begins: whatever sets itself up does so now. A purge, for a hardened one frees late. */
    make_all(blocks);
    free_all(blocks);
    zmalloc_purge(NULL);

    calls = 0;
    make_all(blocks);
    long calls_to_make = calls;
    if (argc > 1) {
        check(can_tell_owner());
        for (size_t i = 0; i < KINDS; i++) {
            check(owns(blocks[i]));
        }
        static char of_nobody[4096];
        check(!can_tell_strangers() || !owns(of_nobody));
    }
    calls = 0;
    free_all(blocks);
    zmalloc_purge(NULL);
    long calls_to_free = calls;

    if (allocator_is("libc")) {
        check(calls_to_make >= KINDS && calls_to_free >= KINDS);
    } else {
        check(calls_to_make == 0);
        check(calls_to_free == 0);
    }
    calls = 0;
    zlibc_free(of_libc);
    check(calls == 1);
    return 0;
}
