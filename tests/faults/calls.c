/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults in calls that allocate, resize, free and measure blocks. */
#include "operations.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static size_t size_asked;
static const struct way *way;

void choose_way(const struct way *chosen, size_t size)
{
    way = chosen;
    size_asked = size;
}

/* Where one of the allocator's calls fails, an aligned block may be had by another one. */
static bool has_another_way(void)
{
    return way->aligned && strcmp(faults_name(trial.fault), "everything") != 0;
}

void allocate(void)
{
    size_t usable = 1;
    arm();
    unsigned char *ptr = way->get(size_asked, &usable);
    calm();
    check(ptr != NULL || !must_succeed());
    check(ptr == NULL || !faults_is_of_allocator(trial.fault) || !nothing_went_well() || has_another_way());
    check_handler(ptr == NULL && way->calls_handler, size_asked);
    check(usable == zmalloc_usable_size(ptr) && (ptr == NULL || usable >= size_asked));
    check_account(ptr);
    check(ptr == NULL || !way->zeroed || all_zero(ptr, size_asked));
    if (ptr != NULL) {
        memset(ptr, 0xa5, usable);
    }
    zfree(ptr);
}

static const struct resize *resize;
static size_t old_size;
static size_t old_alignment;
static void *old_block;

void choose_old(size_t size)
{
    old_alignment = 0;
    old_size = size;
}

static void make_old(void)
{
    old_block = old_alignment > 0 ? zaligned_alloc(old_alignment, old_size) : zmalloc(old_size);
    fill(old_block, 0, zmalloc_usable_size(old_block), 77);
}

static void resize_old(void)
{
    size_t old_usable = zmalloc_usable_size(old_block);
    size_t usable = 1;
    arm();
    void *moved = resize->to(old_block, size_asked, &usable);
    calm();
    check(moved != NULL || !must_succeed());
    check(moved == NULL || !faults_is_of_allocator(trial.fault) || !nothing_went_well());
    check_handler(moved == NULL && resize->calls_handler, size_asked);
    check(usable == zmalloc_usable_size(moved));
    void *kept = moved != NULL ? moved : old_block;
    check(moved != NULL || zmalloc_usable_size(old_block) == old_usable);
    check(filled(kept, moved == NULL || size_asked > old_usable ? old_usable : size_asked, 77));
    check_account(kept);
    zfree(kept);
}

static void free_by_resize(void)
{
    size_t usable = 1;
    arm();
    void *moved = resize->to(old_block, 0, &usable);
    calm();
    check(moved == NULL && usable == 0);
    check_handler(false, 0);
}

static void overflow(void)
{
    static volatile const size_t half = SIZE_MAX / 2 + 2;
    arm();
    void *ptr = zcalloc_num(half, 2);
    calm();
    check(ptr == NULL);
    check_handler(true, SIZE_MAX);
}

static void duplicate(void)
{
    static const char text[] = "a string of some length, so that it takes more than the smallest block there is";
    arm();
    char *copy = zstrdup(text);
    calm();
    check(copy != NULL || !must_succeed());
    check_handler(copy == NULL, sizeof(text));
    check(copy == NULL || strcmp(copy, text) == 0);
    check_account(copy);
    zfree(copy);
}

static void duplicate_nothing(void)
{
    arm();
    char *copy = zstrdup(NULL);
    calm();
    check(copy == NULL);
    check_handler(false, 0);
}

/* As a Lua state does: larger, smaller, and away. */
static void serve_lua(void)
{
    size_t used = 0;
    arm();
    void *ptr = zmalloc_lua_alloc(&used, NULL, 5, 100);
    bool had_none = ptr == NULL;
    size_t size = had_none ? 0 : 100;
    void *larger = zmalloc_lua_alloc(&used, ptr, size, 50000);
    ptr = larger != NULL ? larger : ptr;
    size = larger != NULL ? 50000 : size;
    void *smaller = ptr != NULL ? zmalloc_lua_alloc(&used, ptr, size, 50) : NULL;
    calm();
    check((!had_none && larger != NULL) || !must_succeed());
    check(ptr == NULL || smaller != NULL);
    ptr = smaller;
    check(used == zmalloc_size(ptr));
    check_account(ptr);
    arm();
    check(zmalloc_lua_alloc(&used, ptr, 50, 0) == NULL);
    calm_again();
    check(used == 0);
    check_handler(false, 0);
}

static void zfree_usable_of_old(void *ptr)
{
    size_t before = zmalloc_usable_size(ptr);
    size_t usable = 0;
    zfree_usable(ptr, &usable);
    check(usable == before);
}

static void zfree_with_size_of_old(void *ptr)
{
    zfree_with_size(ptr, zmalloc_usable_size(ptr));
}

static void (*release)(void *ptr);

static void release_old(void)
{
    arm();
    release(old_block);
    calm();
}

static void release_of_libc(void)
{
    void *block = malloc(100);
    arm();
    zlibc_free(block);
    calm();
}

static void measure_old(void)
{
    size_t usable = zmalloc_usable_size(old_block);
    arm();
    size_t size_again = zmalloc_size(old_block);
    size_t usable_again = zmalloc_usable_size(old_block);
    size_t good = zmalloc_good_size(old_size);
    void *extended = extend_to_usable(old_block, usable);
    size_t used = zmalloc_used_memory();
    size_t net = zmalloc_total_allocated() - zmalloc_total_freed();
    size_t peak = zmalloc_peak_memory();
    zmalloc_reset_peak_memory();
    calm();
    check(size_again >= usable && usable_again == usable && good >= old_size && extended == old_block);
    check(used == net && peak >= used);
    check_account(old_block);
    zfree(old_block);
}

static void discard_old(void)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    size_t usable = zmalloc_usable_size(old_block);
    arm();
    zmadvise_dontneed(old_block);
    calm();
    check(zmalloc_usable_size(old_block) == usable);
    const unsigned char *bytes = old_block;
    check(bytes[4 * page] == 0 || !must_succeed());
    check(bytes[4 * page] == 0 || filled(old_block, usable, 77));
    check_account(old_block);
    zfree(old_block);
}

/* What a thread did is known to it if the allocator's counters can be had. */
static void ask_for_own_totals(void)
{
    void *ptr = zmalloc(1000);
    size_t allocated = zmalloc_thread_allocated();
    size_t freed = zmalloc_thread_freed();
    arm();
    size_t allocated_again = zmalloc_thread_allocated();
    size_t freed_again = zmalloc_thread_freed();
    calm();
    check(allocated_again == allocated || (allocated_again == 0 && !must_succeed()));
    check(freed_again == freed || (freed_again == 0 && !must_succeed()));
    check_account(ptr);
    zfree(ptr);
}

static const struct {
    const char *call;
    void (*release)(void *ptr);
} releases[] = {
    {"zfree", zfree},
    {"zfree_usable", zfree_usable_of_old},
    {"zfree_with_size", zfree_with_size_of_old},
    {"zfree_no_tcache", zfree_no_tcache},
};

void try_ways(void)
{
    static const size_t sizes[] = {0, 24, 5000, 300000};
    for (size_t w = 0; w < LENGTH(ways); w++) {
        for (size_t s = 0; s < LENGTH(sizes); s++) {
            choose_way(&ways[w], sizes[s]);
            try_everywhere(&(struct operation){ways[w].name, allocate, NULL});
        }
    }
}

void try_resizes(void)
{
    static const struct {
        size_t from;
        size_t to;
        size_t alignment;
    } cases[] = {{0, 100, 0}, {24, 5000, 0}, {5000, 24, 0}, {100, 300000, 0}, {300000, 100, 0}, {100, 5000, 256}};
    for (size_t r = 0; r < LENGTH(resizes); r++) {
        resize = &resizes[r];
        for (size_t c = 0; c < LENGTH(cases); c++) {
            old_size = cases[c].from;
            old_alignment = cases[c].alignment;
            size_asked = cases[c].to;
            try_everywhere(&(struct operation){resize->name, resize_old, make_old});
        }
        try_everywhere(&(struct operation){resize->name, free_by_resize, make_old});
    }
}

void try_releases(void)
{
    for (size_t r = 0; r < LENGTH(releases); r++) {
        release = releases[r].release;
        try_everywhere(&(struct operation){releases[r].call, release_old, make_old});
    }
}

/* All of them once, with whatever fault the program was started with. */
void use_everything(void)
{
    enum { SIZE = 500 };
    for (size_t w = 0; w < LENGTH(ways); w++) {
        choose_way(&ways[w], SIZE);
        allocate();
    }
    choose_old(100);
    for (size_t r = 0; r < LENGTH(resizes); r++) {
        resize = &resizes[r];
        make_old();
        resize_old();
    }
}

bool begins_with(const char *name, const char *call, size_t length)
{
    return strncmp(name, call, length) == 0 && (name[length] == '\0' || name[length] == ' ');
}

/* Whether a table here has it. */
bool is_way_or_release(const char *call, size_t length)
{
    bool found = false;
    for (size_t i = 0; i < LENGTH(ways); i++) {
        found |= begins_with(ways[i].name, call, length);
    }
    for (size_t i = 0; i < LENGTH(releases); i++) {
        found |= begins_with(releases[i].call, call, length);
    }
    return found;
}

static const struct operation all[] = {
    {"zcalloc_num of too much", overflow, NULL},
    {"zstrdup", duplicate, NULL},
    {"zstrdup of NULL", duplicate_nothing, NULL},
    {"zmalloc_lua_alloc", serve_lua, NULL},
    {"zlibc_free", release_of_libc, NULL},
    {"zmalloc_size", measure_old, make_old},
    {"zmalloc_usable_size", measure_old, make_old},
    {"zmalloc_good_size", measure_old, make_old},
    {"extend_to_usable", measure_old, make_old},
    {"zmalloc_used_memory", measure_old, make_old},
    {"zmalloc_total_allocated", measure_old, make_old},
    {"zmalloc_total_freed", measure_old, make_old},
    {"zmalloc_peak_memory", measure_old, make_old},
    {"zmalloc_reset_peak_memory", measure_old, make_old},
    {"zmadvise_dontneed", discard_old, make_old},
    {"zmalloc_thread_allocated", ask_for_own_totals, NULL},
    {"zmalloc_thread_freed", ask_for_own_totals, NULL},
};

const struct operations calls_operations = {all, LENGTH(all)};
