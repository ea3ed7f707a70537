/* SPDX-License-Identifier: BSD-3-Clause */
/* glibc's own malloc_usable_size, for a library that has one by that name itself. */
#include "preload/system.h"

#include <dlfcn.h>
#include <gnu/lib-names.h>

/*
 * Until a library may be asked for: dlsym of older versions allocates, and dlopen wants that all libraries are there.
 * glibc has a block's size in the word before it, with flags, since its first malloc.
 */
static size_t read_header(void *block)
{
    enum { MAPPED = 2, FLAGS = 7 };
    const size_t *words = block;
    if (block == NULL) {
        return 0;
    }
    __asm__("" : "+r"(words)); /* the compiler knows that malloc gave nothing before the block */
    size_t header = words[-1];
    return (header & ~(size_t) FLAGS) - ((header & MAPPED) != 0 ? 2 : 1) * sizeof(header);
}

zm_system_size_call *zm_system_usable_size = read_header;

/* Before all other constructors of the library: they look at who answers. Not the next one after ours, as another
 * allocator may be preloaded too. */
__attribute__((constructor(101))) static void find(void)
{
    void *libc = dlopen(LIBC_SO, RTLD_LAZY | RTLD_NOLOAD);
    void *found = libc != NULL ? dlsym(libc, "malloc_usable_size") : NULL;
    if (found != NULL) {
        zm_system_usable_size = (zm_system_size_call *) found;
    }
}
