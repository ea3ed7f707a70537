/* SPDX-License-Identifier: BSD-3-Clause */
/* The C library's malloc, the cold half: glibc answers, other C libraries have nothing to ask. */
#include "allocator/allocator.h"

#include <errno.h>
#include <stdbool.h>

#ifdef __GLIBC__
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
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

#if defined(__x86_64__) || defined(__i386__)

bool zm_libc_has_headers;

struct object {
    uintptr_t inside; /* an address in it */
    uintptr_t begin;
    uintptr_t end;
    bool is_program;
    bool was_asked; /* the first one is the program */
};

static int find_object(struct dl_phdr_info *info, size_t size, void *context)
{
    struct object *object = context;
    (void) size;
    object->is_program = !object->was_asked;
    object->was_asked = true;
    object->begin = UINTPTR_MAX;
    object->end = 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD) {
            uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
            object->begin = begin < object->begin ? begin : object->begin;
            object->end = begin + segment->p_memsz > object->end ? begin + segment->p_memsz : object->end;
        }
    }
    return object->inside >= object->begin && object->inside < object->end;
}

/*
 * All calls are glibc's, in its own library. Not told by a symbol alone: a program that is not position-independent
 * may have a stand-in for a function of a library, and a static one may have any malloc. In doubt they are another's.
 */
static bool calls_are_of_libc(void)
{
    const uintptr_t calls[] = {
        (uintptr_t) malloc, (uintptr_t) calloc,        (uintptr_t) realloc,
        (uintptr_t) free,   (uintptr_t) aligned_alloc, (uintptr_t) malloc_usable_size,
    };
    struct object libc = {.inside = (uintptr_t) stdout};
    if (dl_iterate_phdr(find_object, &libc) == 0 || libc.is_program) {
        return false;
    }
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (calls[i] < libc.begin || calls[i] >= libc.end) {
            return false;
        }
    }
    return true;
}

/* Before 2.34 a program could put its own functions behind glibc's malloc, and so did MALLOC_CHECK_. The last version
 * is the last one that is known, or the one that this was built and tested with. */
static bool is_known_version(void)
{
    enum { FIRST = 34, LAST = __GLIBC_MINOR__ > 43 ? __GLIBC_MINOR__ : 43, DECIMAL = 10 };
    const char *version = gnu_get_libc_version();
    unsigned long minor = strncmp(version, "2.", 2) == 0 ? strtoul(version + 2, NULL, DECIMAL) : 0;
    return minor >= FIRST && minor <= LAST;
}

/* What the call says comes first: valgrind has other blocks, where all before them is forbidden. */
static bool has_header(size_t size)
{
    enum { STEP = 2 * sizeof(size_t), IN_USE_BEFORE = 1, IN_AN_ARENA = 4 };
    void *block = malloc(size);
    size_t usable = malloc_usable_size(block);
    bool has = block != NULL && usable > size && (usable + sizeof(size_t)) % STEP == 0 &&
               (zm_libc_header(block) & ~(size_t) (IN_USE_BEFORE | IN_AN_ARENA)) == usable + sizeof(size_t);
    free(block);
    return has;
}

__attribute__((constructor)) static void look_for_headers(void)
{
    zm_libc_has_headers =
        is_known_version() && calls_are_of_libc() && has_header(1) && has_header(100) && has_header(3001);
}

#endif

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
