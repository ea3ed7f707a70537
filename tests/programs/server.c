/* SPDX-License-Identifier: BSD-3-Clause */
/* A stranger that has a server's zmalloc.h: every call that the library lacks, and the account to the byte. */
#include "zmalloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t start;

static void check(int holds, const char *what)
{
    if (!holds) {
        printf("does not hold: %s\n", what);
        exit(1);
    }
}

#define CHECK(condition) check(condition, #condition)

/* No block but these is in use: what they count is what the account has. */
static void expect(void *const *blocks, size_t count, const char *what)
{
    size_t sum = start;
    for (size_t i = 0; i < count; i++) {
        sum += zmalloc_size(blocks[i]);
    }
    check(zmalloc_used_memory() == sum, what);
}

static void try_known_calls(void)
{
    size_t usable = 0;
    void *blocks[] = {zmalloc(100), zcalloc(200), zmalloc_usable(300, &usable), zstrdup("text")};
    expect(blocks, 4, "blocks of calls that every server has");
    CHECK(usable >= 300 && usable == zmalloc_usable_size(blocks[2]));
    blocks[0] = zrealloc(blocks[0], 5000);
    blocks[1] = zrealloc_usable(blocks[1], 7000, &usable);
    CHECK(usable >= 7000);
    expect(blocks, 4, "moved blocks");
    for (int i = 0; i < 4; i++) {
        zfree(blocks[i]);
    }
    expect(blocks, 0, "freed blocks");
}

#ifdef HAVE_DEFRAG

/* One block in four stays, as where a cache has expired: these blocks' slabs are to be emptied, full ones are not. */
static void try_hints(void)
{
    enum { COUNT = 20000, KEPT = 4, SIZE = 100 };
    static void *blocks[COUNT];
    int hints = 0;
    int hints_of_full = 0;
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = zmalloc(SIZE);
    }
    for (int i = 0; i < COUNT; i++) {
        hints_of_full += je_get_defrag_hint(blocks[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        if (i % KEPT != 0) {
            zfree_no_tcache(blocks[i]);
            blocks[i] = NULL;
        }
    }
    for (int i = 0; i < COUNT; i += KEPT) {
        hints += je_get_defrag_hint(blocks[i]);
    }
    printf("hints: %d of %d in full slabs, %d of %d\n", hints_of_full, COUNT, hints, COUNT / KEPT);
    CHECK(hints_of_full < COUNT / 100);
    CHECK(hints > COUNT / KEPT / 4 && hints <= COUNT / KEPT);
    for (int i = 0; i < COUNT; i += KEPT) {
        if (je_get_defrag_hint(blocks[i])) {
            void *moved = zmalloc_no_tcache(SIZE);
            zfree_no_tcache(blocks[i]);
            blocks[i] = moved;
        }
    }
    expect(blocks, COUNT, "blocks that were moved as the hint says");
    for (int i = 0; i < COUNT; i++) {
        zfree(blocks[i]);
    }
}

#endif

#if defined(ZMALLOC_COMPAT_REDIS) && ZMALLOC_COMPAT_REDIS >= 8

static void try_old_sizes(void)
{
    size_t usable = 0;
    size_t old = 0;
    void *block = zmalloc(100);
    size_t before = zmalloc_usable_size(block);
    block = zrealloc_usable(block, 3000, &usable, &old);
    CHECK(old == before && usable == zmalloc_usable_size(block) && usable >= 3000);
    expect(&block, 1, "zrealloc_usable with the old size");
    block = ztryrealloc_usable(block, 200, &usable, &old);
    CHECK(old >= 3000 && usable == zmalloc_usable_size(block));
    block = zrealloc_usable2(block, 300, &usable, NULL);
    block = ztryrealloc_usable2(block, 400, NULL, &old);
    CHECK(old == usable && usable >= 300);

    /* Theirs frees the block here. */
    memset(block, 7, 400);
    CHECK(ztryrealloc_usable(block, SIZE_MAX / 2 + 1, &usable, &old) == NULL);
    CHECK(usable == 0 && old == zmalloc_usable_size(block) && ((char *) block)[399] == 7);
    expect(&block, 1, "a block that could not grow");
    zfree(block);

    void *copy = zstrdup_usable("four", &usable);
    CHECK(strcmp(copy, "four") == 0 && usable == zmalloc_usable_size(copy));
    expect(&copy, 1, "zstrdup_usable");
    zfree(copy);
}

static void try_figures(void)
{
    size_t allocated = 1;
    size_t active = 1;
    size_t resident = 1;
    size_t retained = 1;
    size_t muzzy = 1;
    size_t small = 1;
    void *block = zmalloc(1 << 20);
    CHECK(zmalloc_get_allocator_info(1, &allocated, &active, &resident, &retained, &muzzy, &small) == 1);
    CHECK(zmalloc_get_allocator_info(0, &allocated, &active, &resident, NULL, NULL, &small) == 1);
    printf("allocated %zu, active %zu, resident %zu, retained %zu, muzzy %zu, small %zu\n", allocated, active,
           resident, retained, muzzy, small);
    CHECK(allocated == 0 || allocated >= 1 << 20);
    CHECK(zmalloc_get_allocator_info_by_arena(0, 1, &allocated, &active, &resident, &small) == 1);
#ifdef USE_JEMALLOC
    CHECK(allocated > 0 && active >= allocated && resident >= active && small > 0 && small < active);
#else
    CHECK(allocated == 0 && active == 0 && resident == 0 && small == 0);
#endif
    CHECK(zmalloc_get_peak_memory() >= zmalloc_size(block));
    CHECK(zmalloc_get_peak_memory_time() > 1700000000 && zmalloc_get_peak_memory_time() <= time(NULL));
    zfree(block);
}

#ifdef USE_JEMALLOC

static void refuse(size_t size)
{
    (void) size;
}

static void try_flags(void)
{
    unsigned arena = 0;
    unsigned cache = 0;
    size_t size = sizeof(arena);
    size_t in_arena = 0;
    CHECK(je_mallctl("arenas.create", &arena, &size, NULL, 0) == 0);
    CHECK(je_mallctl("tcache.create", &cache, &size, NULL, 0) == 0);
    int flags = (int) (MALLOCX_ARENA(arena) | MALLOCX_TCACHE(cache));
    void *blocks[] = {zmalloc_with_flags(100, flags), zrealloc_with_flags(NULL, 70000, flags), zmalloc(50)};
    expect(blocks, 3, "blocks of an arena");
    zmalloc_get_allocator_info_by_arena(arena, 1, &in_arena, NULL, NULL, NULL);
    CHECK(in_arena >= 70000);
    blocks[0] = zrealloc_with_flags(blocks[0], 90000, flags);
    expect(blocks, 3, "blocks of an arena, moved");

    /* A limit holds for them too. */
    zmalloc_set_limit(zmalloc_used_memory() + 1000000);
    void *more[] = {blocks[0], blocks[1], blocks[2], zmalloc_with_flags(500000, flags)};
    expect(more, 4, "blocks of an arena, within a limit");
    zmalloc_set_oom_handler(refuse);
    CHECK(zmalloc_with_flags(2000000, flags) == NULL);
    CHECK(zrealloc_with_flags(more[1], 2000000, flags) == NULL);
    expect(more, 4, "blocks of an arena, after a request that was refused");
    CHECK(zmalloc_used_memory() <= zmalloc_limit());
    zmalloc_set_oom_handler(NULL);
    more[0] = zrealloc_with_flags(more[0], 100, flags);
    zmalloc_set_limit(0);
    expect(more, 4, "blocks that a limit has not kept");
    CHECK(zrealloc_with_flags(more[0], 0, flags) == NULL);
    zfree_with_flags(more[1], flags);
    zfree(more[2]);
    zfree_with_flags(more[3], flags);
    zfree_with_flags(NULL, flags);
    expect(blocks, 0, "blocks of an arena, freed");
    CHECK(je_mallctl("tcache.destroy", NULL, NULL, &cache, sizeof(cache)) == 0);
}

#endif
#endif

#ifdef ZMALLOC_COMPAT_VALKEY

static void try_figures(void)
{
    size_t allocated = 1;
    size_t active = 1;
    size_t resident = 1;
    size_t retained = 1;
    size_t muzzy = 1;
    void *block = zmalloc(1 << 20);
    CHECK(zmalloc_get_allocator_info(&allocated, &active, &resident, &retained, &muzzy) == 1);
    CHECK(zmalloc_get_allocator_info(&allocated, &active, &resident, NULL, NULL) == 1);
    printf("allocated %zu, active %zu, resident %zu, retained %zu, muzzy %zu\n", allocated, active, resident,
           retained, muzzy);
    CHECK(allocated == 0 || allocated >= 1 << 20);
    zfree(block);
}

static void try_pages(void)
{
    enum { PAGE = 65536, SIZE = 8 * PAGE };
    char *block = zaligned_alloc(PAGE, SIZE);
    memset(block, 7, SIZE);
    zmadvise_dontneed(block, 100);
    zmadvise_dontneed(NULL, 0);
    CHECK(block[0] == 7 && block[SIZE - 1] == 7);
    zmadvise_dontneed_range(block, PAGE);
    zmadvise_dontneed_range(NULL, PAGE);
    CHECK(block[0] == 0 && block[PAGE - 1] == 0 && block[PAGE] == 7);
    zmadvise_dontneed(block, SIZE);
    CHECK(block[PAGE] == 0);
    void *blocks[] = {block};
    expect(blocks, 1, "a block whose pages went");
    zlibc_trim();
    zfree(block);
}

static void try_names(void)
{
    void *blocks[] = {valkey_malloc(100), valkey_calloc(200), valkey_malloc_cache_aligned(300),
                      zmalloc_cache_aligned(70)};
    expect(blocks, 4, "blocks by the server's own names");
    CHECK((uintptr_t) blocks[2] % 64 == 0 && (uintptr_t) blocks[3] % 64 == 0);
    CHECK(zmalloc_usable_size(blocks[1]) >= 200 && ((char *) blocks[1])[199] == 0);
    blocks[0] = valkey_realloc(blocks[0], 4000);
    expect(blocks, 4, "a moved block by the server's own names");
    zfree_with_size(blocks[0], 4000);
    for (int i = 1; i < 4; i++) {
        valkey_free(blocks[i]);
    }
    expect(blocks, 0, "freed blocks by the server's own names");
}

#endif

int main(void)
{
    puts(ZMALLOC_LIB);
    start = zmalloc_used_memory();
    try_known_calls();
#ifdef HAVE_DEFRAG
    try_hints();
#endif
#if defined(ZMALLOC_COMPAT_REDIS) && ZMALLOC_COMPAT_REDIS >= 8
    try_old_sizes();
    try_figures();
#ifdef USE_JEMALLOC
    try_flags();
#endif
#endif
#ifdef ZMALLOC_COMPAT_VALKEY
    try_figures();
    try_pages();
    try_names();
#endif
    check(zmalloc_used_memory() == start, "nothing is in use at the end");
    puts("all held");
    return 0;
}
