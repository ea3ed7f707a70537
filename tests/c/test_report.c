/* SPDX-License-Identifier: BSD-3-Clause */
/* The report: its parts make a whole, and every figure that can be known is. */
#include "children.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

static bool close_to(size_t a, size_t b, size_t tolerance)
{
    return (a > b ? a - b : b - a) <= tolerance;
}

static struct zmalloc_report report_now(int walk)
{
    struct zmalloc_report report;
    memset(&report, 0x5a, sizeof(report));
    report.size = sizeof(report);
    assert_int_equal(zmalloc_report(&report, walk), 0);
    return report;
}

/* Each level's difference to the nearest known one below; all of them together are what lies between used and rss. */
static void check_sum(const struct zmalloc_report *report)
{
    const size_t levels[] = {report->used, report->allocated, report->active, report->resident, report->rss};
    const int64_t differences[] = {0, report->allocator_overhead_bytes, report->allocator_frag_bytes,
                                   report->allocator_rss_bytes, report->rss_overhead_bytes};
    int64_t sum = (int64_t) report->used;
    size_t known = report->used;
    for (size_t i = 1; i < LENGTH(levels); i++) {
        if (levels[i] == ZMALLOC_UNKNOWN) {
            assert_true(differences[i] == ZMALLOC_UNKNOWN_DIFFERENCE);
            continue;
        }
        assert_true(differences[i] == (int64_t) levels[i] - (int64_t) known);
        known = levels[i];
        sum += differences[i];
    }
    assert_true(sum == (int64_t) report->rss);
}

static void check_order(size_t smaller, size_t larger)
{
    assert_true(smaller == ZMALLOC_UNKNOWN || larger == ZMALLOC_UNKNOWN || smaller <= larger);
}

static void check_levels(const struct zmalloc_report *report)
{
    check_sum(report);
    check_order(report->allocated, report->active);
    check_order(report->active, report->resident);
    check_order(report->allocated, report->resident);
    check_order(report->active, report->mapped);
}

/* Something to report of, of many sizes. */
enum { BLOCKS = 5000, LARGEST = 20000, LARGE = 16 * MIB };

static void *blocks[BLOCKS];
static void *large; /* libc maps it by itself */

static void fill_heap(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = i * i % LARGEST + 1;
        blocks[i] = zmalloc(size);
        memset(blocks[i], 1, size);
    }
    large = zmalloc(LARGE);
    memset(large, 1, LARGE);
}

static void empty_heap(void)
{
    zfree(large);
    for (size_t i = 0; i < BLOCKS; i++) {
        zfree(blocks[i]);
    }
}

static void test_parts_sum_to_rss(void **state)
{
    (void) state;
    for (int walk = 0; walk < 2; walk++) {
        struct zmalloc_report empty = report_now(walk);
        fill_heap();
        struct zmalloc_report full = report_now(walk);
        assert_int_equal(full.used, zmalloc_used_memory());
        empty_heap();
        struct zmalloc_report after = report_now(walk);
        check_levels(&empty);
        check_levels(&full);
        check_levels(&after);
        assert_true(full.used > empty.used + (size_t) BLOCKS * LARGEST / 4);
        assert_true(full.rss > full.used / 10 * 9);
        assert_true(full.allocated == ZMALLOC_UNKNOWN || full.allocated + BLOCKS * PREFIX_SIZE >= full.used);
    }
}

/* What each allocator is known to be able to tell: a figure that goes missing must not go unnoticed. */
static void test_what_is_known(void **state)
{
    (void) state;
    static const struct {
        const char *name;
        bool allocated, active, resident, mapped, retained, metadata, bins_and_muzzy;
    } allocators[] = {
        {"jemalloc", true, true, true, true, true, true, true},
        {"tcmalloc", true, true, true, true, true, true, false},
#ifdef __GLIBC__
        {"libc", true, true, false, true, false, false, false},
#else
        {"libc", false, false, false, false, false, false, false},
#endif
        {"mimalloc-2", false, false, true, false, false, false, false},
        {"mimalloc-3", false, false, false, false, false, false, false},
    };
    fill_heap();
    struct zmalloc_report report = report_now(0);
    empty_heap();
    bool found = false;
    for (size_t i = 0; i < LENGTH(allocators); i++) {
        if (!allocator_is(allocators[i].name)) {
            continue;
        }
        found = true;
        assert_int_equal(report.allocated != ZMALLOC_UNKNOWN, allocators[i].allocated);
        assert_int_equal(report.active != ZMALLOC_UNKNOWN, allocators[i].active);
        assert_int_equal(report.resident != ZMALLOC_UNKNOWN, allocators[i].resident);
        assert_int_equal(report.mapped != ZMALLOC_UNKNOWN, allocators[i].mapped);
        assert_int_equal(report.retained != ZMALLOC_UNKNOWN, allocators[i].retained);
        assert_int_equal(report.metadata != ZMALLOC_UNKNOWN, allocators[i].metadata);
        assert_int_equal(!isnan(report.allocator_frag_smallbins_ratio), allocators[i].bins_and_muzzy);
        assert_int_equal(report.allocator_frag_smallbins_bytes != ZMALLOC_UNKNOWN, allocators[i].bins_and_muzzy);
        assert_int_equal(report.muzzy != ZMALLOC_UNKNOWN, allocators[i].bins_and_muzzy);
    }
    assert_true(found);
    assert_int_not_equal(report.rss, ZMALLOC_UNKNOWN);
    double ratio = (double) report.rss / (double) report.used;
    assert_true(fabs(report.mem_fragmentation_ratio - ratio) < 1e-9);
    assert_true(report.metadata == ZMALLOC_UNKNOWN || (report.metadata > 0 && report.metadata < 64 * MIB));
    assert_true(report.mapped == ZMALLOC_UNKNOWN || report.mapped > (size_t) BLOCKS * LARGEST / 4);
}

static void test_without_the_walk(void **state)
{
    (void) state;
    struct zmalloc_report report = report_now(0);
    assert_int_equal(report.pss, ZMALLOC_UNKNOWN);
    assert_int_equal(report.uss, ZMALLOC_UNKNOWN);
    assert_int_equal(report.private_dirty, ZMALLOC_UNKNOWN);
    assert_int_equal(report.swap, ZMALLOC_UNKNOWN);
    assert_int_equal(report.huge_pages, ZMALLOC_UNKNOWN);
    assert_int_equal(report.private_hugetlb, ZMALLOC_UNKNOWN);
    assert_int_equal(report.shared_hugetlb, ZMALLOC_UNKNOWN);
    assert_true(close_to(report.rss, zmalloc_get_rss(), 2 * MIB));
}

/* The plain way: the rollup by stdio. */
static size_t plain_rollup(const char *field)
{
    FILE *rollup = fopen("/proc/self/smaps_rollup", "r");
    char name[64];
    unsigned long long kilobytes;
    size_t found = SIZE_MAX;
    char line[256];
    assert_non_null(rollup);
    while (fgets(line, sizeof(line), rollup) != NULL) {
        if (sscanf(line, "%63[^:]: %llu kB", name, &kilobytes) == 2 && strcmp(name, field) == 0) {
            found = (size_t) kilobytes * 1024;
        }
    }
    fclose(rollup);
    return found;
}

enum { TOLERANCE = 512 << 10, DIRTIED = 16 * MIB };

static bool agrees_with_the_rollup(const struct zmalloc_report *report)
{
    size_t uss = plain_rollup("Private_Clean") + plain_rollup("Private_Dirty");
    return close_to(report->rss, plain_rollup("Rss"), TOLERANCE) &&
           close_to(report->pss, plain_rollup("Pss"), TOLERANCE) &&
           close_to(report->private_dirty, plain_rollup("Private_Dirty"), TOLERANCE) &&
           close_to(report->swap, plain_rollup("Swap"), TOLERANCE) &&
           close_to(report->huge_pages, plain_rollup("AnonHugePages"), TOLERANCE) &&
           close_to(report->uss, uss, TOLERANCE);
}

static bool walk_sees_what_is_dirtied(void)
{
    struct zmalloc_report before = report_now(1);
    char *pages = mmap(NULL, DIRTIED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    memset(pages, 1, DIRTIED);
    struct zmalloc_report report = report_now(1);
    bool agrees = agrees_with_the_rollup(&report);
    munmap(pages, DIRTIED);
    assert_true(report.private_dirty <= report.uss && report.uss <= report.pss + TOLERANCE);
    assert_true(report.pss <= report.rss);
    return agrees && close_to(report.private_dirty - before.private_dirty, DIRTIED, TOLERANCE) &&
           close_to(report.uss - before.uss, DIRTIED, TOLERANCE);
}

/* Pages of a program that was just built are dirty until the kernel has written them to the disk: at any moment. */
static void test_with_the_walk(void **state)
{
    (void) state;
    bool seen = false;
    for (int attempt = 0; attempt < 10 && !seen; attempt++) {
        seen = walk_sees_what_is_dirtied();
    }
    assert_true(seen);
}

static void test_holes_between_small_blocks(void **state)
{
    (void) state;
    enum { SMALL_BLOCKS = 200000, SMALL = 64 };
    static void *small[SMALL_BLOCKS];
    if (!allocator_is("jemalloc")) {
        print_message("skipped: only jemalloc tells of its bins\n");
        skip();
    }
    for (size_t i = 0; i < SMALL_BLOCKS; i++) {
        small[i] = zmalloc(SMALL);
    }
    zmalloc_purge(NULL); /* what earlier tests left in a cache */
    double full = report_now(0).allocator_frag_smallbins_ratio;
    size_t none = report_now(0).allocator_frag_smallbins_bytes;
    for (size_t i = 0; i < SMALL_BLOCKS; i += 2) {
        zfree(small[i]);
    }
    zmalloc_purge(NULL); /* and none of them waits in a cache */
    double half = report_now(0).allocator_frag_smallbins_ratio;
    size_t holes = report_now(0).allocator_frag_smallbins_bytes - none;
    size_t expected = SMALL_BLOCKS / 2 * zmalloc_size(small[1]);
    for (size_t i = 1; i < SMALL_BLOCKS; i += 2) {
        zfree(small[i]);
    }
    if (!(full >= 1 && full < 1.2 && half > 1.8 && half < 2.3)) {
        fail_msg("ratio %f when full, %f when half of it is free", full, half);
    }
    if (!HARDENED && (holes > expected / 20 * 21 || holes < expected / 20 * 19)) { /* those have redzones */
        fail_msg("%zu bytes in holes, should be %zu", holes, expected);
    }
}

/* After a millisecond pages are muzzy, and stay so until a purge. Time passes in the allocator's calls. */
static void test_muzzy_pages(void **state)
{
    (void) state;
    enum { MUZZY = 32, SIZE = 64 << 10, TRIES = 200000 }; /* some MiB in one piece would go at once */
    long dirty_ms;
    long muzzy_ms;
    if (zmalloc_decay(&dirty_ms, &muzzy_ms) != 0) {
        print_message("skipped: this allocator has no muzzy pages\n");
        skip();
    }
    zmalloc_purge(NULL);
    assert_int_equal(report_now(0).muzzy, 0);
    zmalloc_set_decay(1, -1);
    for (size_t i = 0; i < MUZZY; i++) {
        blocks[i] = zmalloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    for (size_t i = 0; i < MUZZY; i++) {
        zfree(blocks[i]);
    }
    size_t muzzy = 0;
    for (int i = 0; i < TRIES && muzzy < MUZZY * SIZE / 2; i++) {
        zfree(zmalloc(SIZE));
        muzzy = i % 1000 == 0 ? report_now(0).muzzy : muzzy;
    }
    expect(muzzy >= MUZZY * SIZE / 2 && muzzy < 4 * MUZZY * SIZE, "muzzy", muzzy);
    zmalloc_set_decay(dirty_ms, muzzy_ms);
    zmalloc_purge(NULL);
    assert_int_equal(report_now(0).muzzy, 0);
}

static void test_purge_lowers_resident(void **state)
{
    (void) state;
    enum { MANY = 4000, SIZE = 8000, ALL = MANY * SIZE };
    static void *many[MANY];
    if (malloc_is_mute()) {
        print_message("skipped: this malloc gives nothing back when told to\n");
        skip();
    }
    /* What must not be given back: a block at the end of them all. */
    for (size_t i = 0; i < MANY; i++) {
        many[i] = zmalloc(SIZE);
        memset(many[i], 1, SIZE);
    }
    void *last = zmalloc(SIZE);
    for (size_t i = 0; i < MANY; i++) {
        zfree(many[i]);
    }
    struct zmalloc_report before = report_now(0);
    assert_int_equal(zmalloc_purge(NULL), 0);
    struct zmalloc_report after = report_now(0);
    zfree(last);
    assert_true(after.rss + ALL / 2 < before.rss || before.rss < ALL);
    assert_true(before.used == after.used);
    if (before.resident != ZMALLOC_UNKNOWN && !allocator_is("mimalloc")) {
        assert_true(after.resident + ALL / 2 < before.resident);
    }
    check_levels(&before);
    check_levels(&after);
}

/* The figures are read one after another, while others allocate: still none is out of this world. */
static atomic_bool enough;

static void *churn(void *unused)
{
    (void) unused;
    void *held[8] = {NULL};
    for (unsigned i = 0; !enough; i++) {
        zfree(held[i % 8]);
        held[i % 8] = zmalloc((size_t) 1 << (10 + i * 7 % 13));
        if (i % 64 == 0) {
            zmalloc_purge(NULL);
        }
    }
    for (size_t i = 0; i < LENGTH(held); i++) {
        zfree(held[i]);
    }
    return NULL;
}

static void check_sane(size_t figure)
{
    assert_true(figure == ZMALLOC_UNKNOWN || figure < SIZE_MAX / 4);
}

static void test_while_others_allocate(void **state)
{
    (void) state;
    enum { THREADS = 2, REPORTS = 1000 };
    pthread_t threads[THREADS];
    enough = false;
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, churn, NULL), 0);
    }
    for (int i = 0; i < REPORTS; i++) {
        struct zmalloc_report report = report_now(i % 16 == 0);
        check_sum(&report);
        check_sane(report.allocated);
        check_sane(report.active);
        check_sane(report.resident);
        check_sane(report.mapped);
        check_sane(report.retained);
        check_sane(report.metadata);
    }
    enough = true;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static const struct CMUnitTest tests[] = {
    tidy(test_parts_sum_to_rss),           tidy(test_what_is_known),
    tidy(test_without_the_walk),           tidy(test_with_the_walk),
    tidy(test_holes_between_small_blocks), tidy(test_purge_lowers_resident),
    tidy(test_while_others_allocate),      tidy(test_muzzy_pages),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
