/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds out how far errno is from the thread's pointer. */
#include "preload/errno_place.h"

#include "allocator/allocator.h"

#include <dlfcn.h>
#include <gnu/lib-names.h>

atomic_intptr_t zm_errno_distance;

/* glibc's own answer: its system calls set its own errno, even where a program has another __errno_location. */
__attribute__((constructor(101))) static void find(void)
{
    if (!ZM_ERRNO_HAS_PLACE || ZM_ALLOCATOR_FREE_KEEPS_ERRNO) {
        return;
    }
    void *libc = dlopen(LIBC_SO, RTLD_LAZY | RTLD_NOLOAD);
    int *(*location)(void) = libc != NULL ? (int *(*) (void) ) dlsym(libc, "__errno_location") : NULL;
    if (location != NULL) {
        atomic_store_explicit(&zm_errno_distance, (intptr_t) location() - zm_thread_pointer(), memory_order_relaxed);
    }
}
