/* SPDX-License-Identifier: BSD-3-Clause */
/* tcmalloc (gperftools), the cold half: MallocExtension's numeric properties. */
#include "allocator/allocator.h"

#include <errno.h>
#include <gperftools/malloc_extension_c.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define STRING(x) #x
#define VALUE(x) STRING(x)

const char *zm_allocator_name(void)
{
    return "tcmalloc-" VALUE(TC_VERSION_MAJOR) "." VALUE(TC_VERSION_MINOR) TC_VERSION_PATCH; /* a text: "" or ".1" */
}

/*
 * In a program whose malloc is ours, operator new asks us, before any constructor of ours or tcmalloc's has run. What
 * tcmalloc allocates for its own object is counted as no bytes: it is never freed.
 */
static size_t first_size(void *block)
{
    static atomic_uintptr_t asker; /* not thread-local: of such memory a library that is loaded late has little */
    uintptr_t self = (uintptr_t) pthread_self();
    if (atomic_load(&asker) == self) {
        return 0;
    }
    atomic_store(&asker, self);
    size_t size = tc_malloc_size(block);
    atomic_store(&asker, 0);
    __atomic_store_n(&zm_tcmalloc_size, &tc_malloc_size, __ATOMIC_RELAXED);
    return size;
}

size_t (*zm_tcmalloc_size)(void *block) = first_size;

static int read_size(const char *name, size_t *value)
{
    return MallocExtension_GetNumericProperty(name, value) ? 0 : -ENOENT;
}

/* Each figure is true of its own moment: other threads may have made the larger one the smaller one. */
static size_t less(size_t whole, size_t part)
{
    return part < whole ? whole - part : 0;
}

int zm_allocator_info(struct zm_allocator_info *info)
{
    size_t heap = 0;     /* taken from the kernel, without tcmalloc's own metadata */
    size_t idle = 0;     /* of that: free pages, still held */
    size_t returned = 0; /* of that: free pages, given back */
    size_t held = 0;     /* heap and metadata, less what was given back */

    int error = read_size("generic.current_allocated_bytes", &info->allocated);
    if (error == 0) {
        error = read_size("generic.heap_size", &heap);
    }
    if (error == 0) {
        error = read_size("tcmalloc.pageheap_free_bytes", &idle);
    }
    if (error == 0) {
        error = read_size("tcmalloc.pageheap_unmapped_bytes", &returned);
    }
    if (error == 0) {
        error = read_size("generic.total_physical_bytes", &held);
    }
    if (error == 0) {
        info->mapped = less(heap, returned);
        info->active = less(info->mapped, idle);
        info->resident = held;
        info->retained = returned;
        info->metadata = less(held, info->mapped);
    }
    return error;
}

int zm_allocator_purge(void)
{
    /* What this thread's cache holds keeps pages in use. */
    MallocExtension_MarkThreadTemporarilyIdle();
    MallocExtension_ReleaseFreeMemory();
    return 0;
}
