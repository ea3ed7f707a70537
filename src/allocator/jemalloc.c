/* SPDX-License-Identifier: BSD-3-Clause */
/* jemalloc, the cold half: every question is a mallctl. */
#include "allocator/allocator.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/types.h>

#define STRING(x) #x
#define VALUE(x) STRING(x)

#define ALL_ARENAS VALUE(MALLCTL_ARENAS_ALL)

const char *zm_allocator_name(void)
{
    return "jemalloc-" VALUE(JEMALLOC_VERSION_MAJOR) "." VALUE(JEMALLOC_VERSION_MINOR) "." VALUE(
        JEMALLOC_VERSION_BUGFIX);
}

static int command(const char *name)
{
    return -ZM_JEMALLOC(mallctl)(name, NULL, NULL, NULL, 0);
}

static int ctl_read(const char *name, void *value, size_t size)
{
    return -ZM_JEMALLOC(mallctl)(name, value, &size, NULL, 0);
}

static int ctl_write(const char *name, void *value, size_t size)
{
    return -ZM_JEMALLOC(mallctl)(name, NULL, NULL, value, size);
}

/* jemalloc's figures are a snapshot; a new epoch takes it again. */
static int refresh(void)
{
    uint64_t epoch = 1;
    return ctl_write("epoch", &epoch, sizeof(epoch));
}

/* A figure of each bin: its name is resolved once, and then only the bin's number changes in it. */
struct bin_figure {
    size_t name[6];
    size_t length;
    size_t place; /* of the bin's number */
};

static int find_bin_figure(const char *name, size_t place, struct bin_figure *figure)
{
    figure->length = sizeof(figure->name) / sizeof(figure->name[0]);
    figure->place = place;
    return -ZM_JEMALLOC(mallctlnametomib)(name, figure->name, &figure->length);
}

static int read_bin_figure(struct bin_figure *figure, unsigned bin, void *value, size_t size)
{
    figure->name[figure->place] = bin;
    return -ZM_JEMALLOC(mallctlbymib)(figure->name, figure->length, value, &size, NULL, 0);
}

/* Small blocks live in bins by their size; a bin has slabs, each with places for a number of them. */
static int read_bins(struct zm_allocator_info *info)
{
    struct bin_figure size_of;
    struct bin_figure places_of;
    struct bin_figure blocks_of;
    struct bin_figure slabs_of;
    unsigned bins = 0;
    size_t allocated = 0;
    size_t active = 0;

    int error = ctl_read("arenas.nbins", &bins, sizeof(bins));
    error = error != 0 ? error : find_bin_figure("arenas.bin.0.size", 2, &size_of);
    error = error != 0 ? error : find_bin_figure("arenas.bin.0.nregs", 2, &places_of);
    error = error != 0 ? error : find_bin_figure("stats.arenas." ALL_ARENAS ".bins.0.curregs", 4, &blocks_of);
    error = error != 0 ? error : find_bin_figure("stats.arenas." ALL_ARENAS ".bins.0.curslabs", 4, &slabs_of);
    for (unsigned bin = 0; bin < bins && error == 0; bin++) {
        size_t size = 0;
        uint32_t places = 0;
        size_t blocks = 0;
        size_t slabs = 0;
        error = read_bin_figure(&size_of, bin, &size, sizeof(size));
        error = error != 0 ? error : read_bin_figure(&places_of, bin, &places, sizeof(places));
        error = error != 0 ? error : read_bin_figure(&blocks_of, bin, &blocks, sizeof(blocks));
        error = error != 0 ? error : read_bin_figure(&slabs_of, bin, &slabs, sizeof(slabs));
        allocated += blocks * size;
        active += slabs * places * size;
    }
    if (error == 0) {
        info->small_allocated = allocated;
        info->small_active = active;
    }
    return error;
}

static int read_muzzy(struct zm_allocator_info *info)
{
    size_t pages = 0;
    size_t page = 0;
    int error = ctl_read("stats.arenas." ALL_ARENAS ".pmuzzy", &pages, sizeof(pages));
    error = error != 0 ? error : ctl_read("arenas.page", &page, sizeof(page));
    if (error == 0) {
        info->muzzy = pages * page;
    }
    return error;
}

int zm_allocator_info(struct zm_allocator_info *info)
{
    const struct {
        const char *name;
        size_t *value;
    } figures[] = {
        {"stats.allocated", &info->allocated}, {"stats.active", &info->active},
        {"stats.resident", &info->resident},   {"stats.mapped", &info->mapped},
        {"stats.retained", &info->retained},   {"stats.metadata", &info->metadata},
    };
    int error = refresh();
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]) && error == 0; i++) {
        error = ctl_read(figures[i].name, figures[i].value, sizeof(*figures[i].value));
    }
    error = error != 0 ? error : read_muzzy(info);
    return error != 0 ? error : read_bins(info);
}

int zm_allocator_purge(void)
{
    /* What this thread's cache holds keeps pages in use. A thread may have no cache: that is EFAULT. */
    int error = command("thread.tcache.flush");
    if (error != 0 && error != -EFAULT) {
        return error;
    }
    return command("arena." ALL_ARENAS ".purge");
}

int zm_allocator_run_background_thread(bool run)
{
    return ctl_write("background_thread", &run, sizeof(run));
}

int zm_allocator_background_thread_runs(bool *runs)
{
    return ctl_read("background_thread", runs, sizeof(*runs));
}

static int read_time(const char *name, long *time)
{
    ssize_t value;
    int error = ctl_read(name, &value, sizeof(value));
    *time = error == 0 ? (long) value : -1;
    return error;
}

int zm_allocator_decay(long *dirty, long *muzzy)
{
    int error = read_time("arenas.dirty_decay_ms", dirty);
    return error == 0 ? read_time("arenas.muzzy_decay_ms", muzzy) : error;
}

static int write_time(const char *name, long time)
{
    ssize_t value = time;
    return ctl_write(name, &value, sizeof(value));
}

/* For the arenas to come, and for those that are there. */
static int set_time(const char *kind, long time)
{
    enum { LONGEST_NAME = 64 };
    char name[LONGEST_NAME];
    unsigned arenas;
    snprintf(name, sizeof(name), "arenas.%s_decay_ms", kind);
    int error = write_time(name, time);
    if (error == 0) {
        error = ctl_read("arenas.narenas", &arenas, sizeof(arenas));
    }
    for (unsigned i = 0; error == 0 && i < arenas; i++) {
        snprintf(name, sizeof(name), "arena.%u.%s_decay_ms", i, kind);
        error = write_time(name, time);
        error = error != -EFAULT ? error : 0; /* an arena that nobody has used yet */
    }
    return error;
}

static int set_times(long dirty, long muzzy)
{
    int error = set_time("dirty", dirty);
    return error == 0 ? set_time("muzzy", muzzy) : error;
}

/* Both or none. */
int zm_allocator_set_decay(long dirty, long muzzy)
{
    long old_dirty;
    long old_muzzy;
    int error = zm_allocator_decay(&old_dirty, &old_muzzy);
    if (error != 0) {
        return error;
    }
    error = set_times(dirty, muzzy);
    if (error != 0) {
        set_times(old_dirty, old_muzzy);
    }
    return error == -EFAULT ? -EINVAL : error; /* EFAULT: jemalloc's word for a time that it refuses */
}

/* A question that is asked of many blocks: its name is resolved once. Threads that do so at once find the same. */
enum { UTILIZATION_LEVELS = 3, ARENA_LEVELS = 2, MOST_LEVELS = 3 };

struct question {
    const char *text;
    size_t levels;
    _Atomic size_t name[MOST_LEVELS];
    atomic_bool is_known;
};

static struct question utilization = {.text = "experimental.utilization.query", .levels = UTILIZATION_LEVELS};
static struct question arena_of = {.text = "arenas.lookup", .levels = ARENA_LEVELS};

static int resolve(struct question *question)
{
    size_t name[MOST_LEVELS];
    size_t length = question->levels;
    int error = -ZM_JEMALLOC(mallctlnametomib)(question->text, name, &length);
    for (size_t i = 0; error == 0 && i < length && i < MOST_LEVELS; i++) {
        atomic_store_explicit(&question->name[i], name[i], memory_order_relaxed);
    }
    if (error == 0) {
        atomic_store_explicit(&question->is_known, true, memory_order_release);
    }
    return error;
}

/* Inlined, as the number of levels is a constant then. */
static inline int ask_of(struct question *question, size_t levels, void *block, void *answer, size_t size)
{
    size_t name[MOST_LEVELS];
    for (size_t i = 0; i < levels; i++) {
        name[i] = atomic_load_explicit(&question->name[i], memory_order_relaxed);
    }
    return -ZM_JEMALLOC(mallctlbymib)(name, levels, answer, &size, (void *) &block, sizeof(block));
}

/* The query is experimental: a version may have dropped it. Without statistics it knows nothing of a bin. */
static int prepare_defrag(void)
{
    bool counts = false;
    int error = ctl_read("config.stats", &counts, sizeof(counts));
    if (error == 0 && !counts) {
        return -ENOTSUP;
    }
    error = error == 0 ? resolve(&arena_of) : error;
    error = error == 0 ? resolve(&utilization) : error; /* the last one: see below */
    return error == -EAGAIN ? -ENOMEM : error == -ENOENT ? -ENOTSUP : error;
}

int zm_allocator_prepare_defrag(void)
{
    return atomic_load_explicit(&utilization.is_known, memory_order_acquire) ? 0 : prepare_defrag();
}

/* As jemalloc fills it in. Places that threads' caches hold are taken. */
struct utilization {
    void *current; /* the slab that new blocks come from */
    size_t free;   /* places in the block's slab */
    size_t places;
    size_t size;
    size_t bin_free; /* and in all slabs of the bin */
    size_t bin_places;
};

/*
 * Blocks leave the slabs that are no fuller than the others of their bin, and fill those, the current one first. How
 * full that one is by itself can't be seen. If it is taken for empty, the average of the others is not overestimated,
 * so the emptiest of them always qualifies. If all that is free in the bin is less than a slab, none can be emptied.
 */
static bool helps_to_move(void *block, const struct utilization *slab)
{
    bool is_current = (uintptr_t) block - (uintptr_t) slab->current < slab->size;
    if (slab->free == 0 || is_current || slab->bin_free < slab->places) {
        return false;
    }
    uint64_t others_places = slab->bin_places - slab->places;
    uint64_t others_free = slab->bin_free - slab->places;
    return slab->free * others_places >= others_free * slab->places;
}

int zm_allocator_defrag_hint(void *block, struct zm_defrag_hint *hint)
{
    struct utilization slab;
    int error = zm_allocator_prepare_defrag();
    error = error == 0 ? ask_of(&utilization, UTILIZATION_LEVELS, block, &slab, sizeof(slab)) : error;
    if (error == 0) {
        hint->helps = helps_to_move(block, &slab);
        hint->empties = slab.free + 1 == slab.places ? slab.size : 0;
    }
    return error;
}

/* Another arena has slabs of its own to fill, and whoever frees the block may be the only thread of this one. */
void *zm_allocator_allocate_for_move(void *block, size_t size)
{
    unsigned arena;
    bool known = ask_of(&arena_of, ARENA_LEVELS, block, &arena, sizeof(arena)) == 0;
    return ZM_JEMALLOC(mallocx)(size, MALLOCX_TCACHE_NONE | (known ? MALLOCX_ARENA(arena) : 0));
}
