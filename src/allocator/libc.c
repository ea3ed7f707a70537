/* SPDX-License-Identifier: BSD-3-Clause */
/* The C library's malloc, the cold half: glibc answers, other C libraries have nothing to ask. */
#include "allocator/allocator.h"

#include <errno.h>
#include <stdbool.h>

#ifdef __GLIBC__
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <stdatomic.h>
#include <string.h>
#endif

#define STRING(x) #x
#define VALUE(x) STRING(x)

#ifdef __GLIBC__

const char *zm_allocator_name(void)
{
    return "libc-" VALUE(__GLIBC__) "." VALUE(__GLIBC_MINOR__);
}

struct object {
    uintptr_t inside; /* an address in it */
    uintptr_t begin;
    uintptr_t end;
    bool is_program;
    bool was_asked; /* the first one is the program */
};

static bool contains(const struct object *object, uintptr_t address)
{
    return address >= object->begin && address < object->end;
}

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
    return contains(object, object->inside);
}

/* The library that glibc is in; false in a static program, which has but one malloc. */
static bool find_libc(struct object *libc)
{
    *libc = (struct object){.inside = (uintptr_t) gnu_get_libc_version()}; /* a text in there */
    return dl_iterate_phdr(find_object, libc) != 0 && !libc->is_program;
}

/*
 * A program that is not position-independent and takes the address of a library's function has a stand-in for it, and
 * that is where the address leads: no matter which library's function it is.
 */
static bool is_stand_in(const void *call)
{
    Dl_info info;
    void *symbol = NULL;
    return dladdr1(call, &info, &symbol, RTLD_DL_SYMENT) != 0 && symbol != NULL &&
           ((const ElfW(Sym) *) symbol)->st_shndx == SHN_UNDEF;
}

/* A program, a preloaded library or a sanitizer may have put another malloc before it, or a mallinfo2 of their own.
 */
enum figures { NOT_ASKED, OWN, ANOTHERS, IN_DOUBT };

static enum figures ask_whose_figures(void)
{
    struct object libc;
    if (!find_libc(&libc)) {
        return OWN;
    }
    bool malloc_is_own = contains(&libc, (uintptr_t) malloc);
    bool figures_are_own = contains(&libc, (uintptr_t) mallinfo2);
    if (malloc_is_own && figures_are_own) {
        return OWN;
    }
    bool may_be = (malloc_is_own || is_stand_in((const void *) malloc)) &&
                  (figures_are_own || is_stand_in((const void *) mallinfo2));
    return may_be ? IN_DOUBT : ANOTHERS;
}

static enum figures whose_figures(void)
{
    static _Atomic int answer = NOT_ASKED; /* the loader's decision, for good */
    int whose = atomic_load_explicit(&answer, memory_order_relaxed);
    if (whose == NOT_ASKED) {
        whose = (int) ask_whose_figures();
        atomic_store_explicit(&answer, whose, memory_order_relaxed);
    }
    return (enum figures) whose;
}

#if defined(__x86_64__) || defined(__i386__)

bool zm_libc_has_headers;

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
    struct object libc;
    if (!find_libc(&libc)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (!contains(&libc, calls[i])) {
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
    enum figures whose = whose_figures();
    if (whose == ANOTHERS) {
        return 0;
    }
    struct mallinfo2 figures = mallinfo2();
    if (whose == IN_DOUBT &&
        figures.arena + figures.hblkhd == 0) { /* nobody ever took anything from glibc's malloc */
        return 0;
    }
    /*
     * hblkhd: blocks with a mapping each; 2.43 keeps 16 bytes for each realloc that resized one, also when none is
     * left. arena: all heaps; uordblks: blocks in them. Both count headers.
     */
    size_t mapped_blocks = figures.hblks != 0 ? figures.hblkhd : 0;
    info->allocated = figures.uordblks + mapped_blocks;
    info->active = figures.arena + mapped_blocks;
    info->mapped = info->active;
    /* Not resident: malloc_trim gives free pages in the middle of a heap back without a trace in these figures. */
    return 0;
}

int zm_allocator_purge(void)
{
    /*
     * Up to 2.41 malloc_trim leaves the end of an arena as it is, unless it is the main one's. There, a free of so
     * many bytes returns the end of the thread's own arena, if it is larger than a threshold that nobody can ask for.
     */
    enum { CONSOLIDATED = 1 << 16 };
    malloc_trim(0);
    void *(*volatile allocate)(size_t) = malloc; /* by name the pair may be left out */
    free(allocate(CONSOLIDATED));
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
