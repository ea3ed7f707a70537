/* SPDX-License-Identifier: BSD-3-Clause */
/* The C library's malloc, the cold half: glibc answers, other C libraries have nothing to ask. */
#include "allocator/allocator.h"

#include <errno.h>
#include <stdbool.h>

#ifdef __GLIBC__
#include <dlfcn.h>
#endif

#define STRING(x) #x
#define VALUE(x) STRING(x)

#ifdef __GLIBC__

const char *zm_allocator_name(void)
{
    return "libc-" VALUE(__GLIBC__) "." VALUE(__GLIBC_MINOR__);
}

/* Another is put in its place by the program, by LD_PRELOAD or by a sanitizer. A static program has but one. */
static bool is_own_malloc(void)
{
    Dl_info of_malloc;
    Dl_info of_figures;
    return dladdr((const void *) malloc, &of_malloc) != 0 && dladdr((const void *) mallinfo2, &of_figures) != 0 &&
           of_malloc.dli_fbase == of_figures.dli_fbase;
}

int zm_allocator_info(struct zm_allocator_info *info)
{
    struct mallinfo2 figures = mallinfo2();

    /* Nothing at all was ever taken from glibc's malloc: this is the start, or malloc is another's. */
    if (figures.arena + figures.hblkhd == 0 && !is_own_malloc()) {
        return 0;
    }
    /* hblkhd: blocks with a mapping each. arena: all heaps; uordblks: blocks in them. Both count headers. */
    info->allocated = figures.uordblks + figures.hblkhd;
    info->active = figures.arena + figures.hblkhd;
    info->mapped = info->active;
    /* Not resident: malloc_trim gives free pages in the middle of a heap back without a trace in these figures. */
    return 0;
}

int zm_allocator_purge(void)
{
    malloc_trim(0);
    return 0;
}

#else

const char *zm_allocator_name(void)
{
    return "libc";
}

int zm_allocator_info(struct zm_allocator_info *info)
{
    (void) info;
    return -ENOTSUP;
}

int zm_allocator_purge(void)
{
    return -ENOTSUP;
}

#endif
