/* SPDX-License-Identifier: BSD-3-Clause */
/* errno without a call: to save and restore it by __errno_location takes more than to count a block. */
#ifndef ZM_PRELOAD_ERRNO_PLACE_H
#define ZM_PRELOAD_ERRNO_PLACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * glibc has errno in its own static thread-local storage, so it is equally far from each thread's pointer. That is
 * used on x86-64. The distance is 0 until the library's constructors run, and elsewhere.
 */
extern atomic_intptr_t zm_errno_distance __attribute__((visibility("hidden")));

#if defined(__x86_64__) && defined(__LP64__)

/* Read each time: to keep it over a call takes more. */
static inline intptr_t zm_errno_place(void)
{
    return atomic_load_explicit(&zm_errno_distance, memory_order_relaxed);
}

static inline int zm_errno_read(intptr_t place)
{
    int error;
    __asm__ volatile("movl %%fs:(%1), %0" : "=r"(error) : "r"(place) : "memory");
    return error;
}

static inline void zm_errno_write(intptr_t place, int error)
{
    __asm__ volatile("movl %1, %%fs:(%0)" : : "r"(place), "r"(error) : "memory");
}

/* It begins with itself, by the processor's binary interface. */
static inline intptr_t zm_thread_pointer(void)
{
    intptr_t pointer;
    __asm__("movq %%fs:0, %0" : "=r"(pointer));
    return pointer;
}

enum { ZM_ERRNO_HAS_PLACE = true };

#else

enum { ZM_ERRNO_HAS_PLACE = false };

static inline intptr_t zm_errno_place(void)
{
    return 0;
}

static inline int zm_errno_read(intptr_t place)
{
    (void) place;
    return 0;
}

static inline void zm_errno_write(intptr_t place, int error)
{
    (void) place;
    (void) error;
}

static inline intptr_t zm_thread_pointer(void)
{
    return 0;
}

#endif

#endif
