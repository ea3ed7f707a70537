/* SPDX-License-Identifier: BSD-3-Clause */
/* The contenders: one program is built for each, so that none pays for a choice at run time. */
#ifndef CONTENDER_H
#define CONTENDER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The allocator by its own names, which the build fills in. */
extern void *PLAIN_MALLOC(size_t size);
extern void *PLAIN_CALLOC(size_t count, size_t size);
extern void *PLAIN_REALLOC(void *ptr, size_t size);
extern void *PLAIN_ALIGNED(size_t alignment, size_t size);
extern void PLAIN_FREE(void *ptr);
extern size_t PLAIN_SIZE(void *ptr);

#if defined(CONTENDER_zmalloc) || defined(CONTENDER_limited) || defined(CONTENDER_linked)

#include <zmalloc.h>

#define contender_malloc zmalloc
#define contender_malloc_usable zmalloc_usable
#define contender_aligned zaligned_alloc
#define contender_calloc zcalloc
#define contender_realloc zrealloc
#define contender_free zfree

#ifdef CONTENDER_limited

/* That is never met. */
__attribute__((constructor)) static void set_limit(void)
{
    zmalloc_set_limit(PTRDIFF_MAX);
}

#endif

#elif defined(CONTENDER_loaded) || defined(CONTENDER_module)

#include <dlfcn.h>
#include <stdio.h>

/* By a process that runs already, as an interpreter loads a module. */
static void *(*contender_malloc)(size_t size);
static void *(*contender_calloc)(size_t size);
static void *(*contender_realloc)(void *ptr, size_t size);
static void (*contender_free)(void *ptr);
static void *(*contender_malloc_usable)(size_t size, size_t *usable);
static void *(*contender_aligned)(size_t alignment, size_t size);

__attribute__((constructor)) static void load(void)
{
    void *library = dlopen(LOADED, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    *(void **) &contender_malloc = dlsym(library, "zmalloc");
    *(void **) &contender_calloc = dlsym(library, "zcalloc");
    *(void **) &contender_realloc = dlsym(library, "zrealloc");
    *(void **) &contender_free = dlsym(library, "zfree");
    *(void **) &contender_malloc_usable = dlsym(library, "zmalloc_usable");
    *(void **) &contender_aligned = dlsym(library, "zaligned_alloc");
}

#elif defined(CONTENDER_plain)

static inline void *contender_malloc_usable(size_t size, size_t *usable)
{
    void *ptr = PLAIN_MALLOC(size);
    *usable = PLAIN_SIZE(ptr);
    return ptr;
}

#define contender_malloc PLAIN_MALLOC
#define contender_aligned PLAIN_ALIGNED
#define contender_calloc(size) PLAIN_CALLOC(1, size)
#define contender_realloc PLAIN_REALLOC
#define contender_free PLAIN_FREE

#elif defined(CONTENDER_none)

/* Nothing but the harness: what it costs is subtracted from the others' instruction counts. */
static char nothing[1 << 16];

__attribute__((noinline)) static void *contender_malloc(size_t size)
{
    __asm__ volatile("" : : "r"(size));
    return nothing;
}

__attribute__((noinline, unused)) static void *contender_malloc_usable(size_t size, size_t *usable)
{
    *usable = size;
    __asm__ volatile("" : : "r"(size));
    return nothing;
}

__attribute__((noinline, unused)) static void *contender_aligned(size_t alignment, size_t size)
{
    __asm__ volatile("" : : "r"(alignment), "r"(size));
    return nothing;
}

__attribute__((noinline)) static void *contender_realloc(void *ptr, size_t size)
{
    __asm__ volatile("" : : "r"(size));
    return ptr != NULL ? ptr : nothing;
}

__attribute__((noinline)) static void contender_free(void *ptr)
{
    __asm__ volatile("" : : "r"(ptr));
}

#define contender_calloc contender_malloc

#else

/*
 * Models of the two usual designs, written here. Both look a block's size up when it is made and when it is freed;
 * `atomic` adds it to one counter that all threads share, `slots` to one of the thread's own, found by an index.
 */
#ifdef CONTENDER_atomic

static _Atomic size_t used;

static inline void add(size_t bytes)
{
    atomic_fetch_add_explicit(&used, bytes, memory_order_relaxed);
}

#else

enum { SLOTS = 256, NONE = -1 };

static struct {
    _Alignas(64) _Atomic size_t bytes;
} slots[SLOTS];
static atomic_int slots_taken;
static _Atomic size_t overflow;
static _Thread_local int own_slot = NONE;

static inline void add(size_t bytes)
{
    if (__builtin_expect(own_slot == NONE, 0)) {
        own_slot = atomic_fetch_add(&slots_taken, 1);
    }
    if (__builtin_expect(own_slot >= SLOTS, 0)) {
        atomic_fetch_add_explicit(&overflow, bytes, memory_order_relaxed);
        return;
    }
    _Atomic size_t *own = &slots[own_slot].bytes;
    atomic_store_explicit(own, atomic_load_explicit(own, memory_order_relaxed) + bytes, memory_order_relaxed);
}

#endif

static void out_of_memory(size_t size)
{
    (void) size;
    abort();
}

static void (*handler)(size_t) = out_of_memory;

static inline void *count_usable(void *ptr, size_t size, size_t *usable)
{
    if (ptr == NULL) {
        handler(size);
        return NULL;
    }
    *usable = PLAIN_SIZE(ptr);
    add(*usable);
    return ptr;
}

static inline void *count(void *ptr, size_t size)
{
    return count_usable(ptr, size, &size);
}

static inline size_t at_least_one(size_t size)
{
    return size != 0 ? size : sizeof(long);
}

__attribute__((noinline, unused)) static void *contender_malloc(size_t size)
{
    return count(size < SIZE_MAX / 2 ? PLAIN_MALLOC(at_least_one(size)) : NULL, size);
}

__attribute__((noinline, unused)) static void *contender_malloc_usable(size_t size, size_t *usable)
{
    return count_usable(size < SIZE_MAX / 2 ? PLAIN_MALLOC(at_least_one(size)) : NULL, size, usable);
}

__attribute__((noinline, unused)) static void *contender_aligned(size_t alignment, size_t size)
{
    return count(size < SIZE_MAX / 2 ? PLAIN_ALIGNED(alignment, at_least_one(size)) : NULL, size);
}

__attribute__((noinline, unused)) static void *contender_calloc(size_t size)
{
    return count(size < SIZE_MAX / 2 ? PLAIN_CALLOC(1, at_least_one(size)) : NULL, size);
}

__attribute__((noinline, unused)) static void contender_free(void *ptr)
{
    if (ptr != NULL) {
        add(-PLAIN_SIZE(ptr));
        PLAIN_FREE(ptr);
    }
}

__attribute__((noinline, unused)) static void *contender_realloc(void *ptr, size_t size)
{
    if (ptr == NULL) {
        return contender_malloc(size);
    }
    size_t old = PLAIN_SIZE(ptr);
    void *moved = size < SIZE_MAX / 2 ? PLAIN_REALLOC(ptr, size) : NULL;
    if (moved != NULL) {
        add(-old);
    }
    return count(moved, size);
}

#endif

#endif
