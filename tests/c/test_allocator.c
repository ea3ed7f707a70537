/* SPDX-License-Identifier: BSD-3-Clause */
/* What the library says of its allocator, and what it gives back to the operating system. */
#include "support.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t resident_now(void)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    size_t pages;
    assert_int_equal(fscanf(statm, "%*u %zu", &pages), 1);
    fclose(statm);
    return pages * (size_t) sysconf(_SC_PAGESIZE);
}

/* Whether some library in the process has that function. */
static bool find(void *function, const char *name)
{
    void *address = dlsym(dlopen(NULL, RTLD_LAZY), name);
    memcpy(function, &address, sizeof(address));
    return address != NULL;
}

static void test_name(void **state)
{
    (void) state;
    assert_string_equal(ZMALLOC_LIB, zmalloc_allocator());
    assert_ptr_equal(zmalloc_allocator(), zmalloc_allocator());
    const char *dash = strchr(zmalloc_allocator(), '-');
    assert_true(dash == NULL || (dash[1] >= '0' && dash[1] <= '9'));
    assert_true(allocator_is(getenv("ZMALLOC_ALLOCATOR")));
}

/* As the allocator's own library reports it, and in full: gperftools 2.18.1 is not 2.18. */
static void test_version(void **state)
{
    (void) state;
    const char *version = strchr(zmalloc_allocator(), '-');
    const char *(*ask_tcmalloc)(int *major, int *minor, const char **patch) = NULL;
    int (*ask_mimalloc)(void) = NULL;
    const char *(*ask_libc)(void) = NULL;
    if (allocator_is("tcmalloc") && find(&ask_tcmalloc, "tc_version")) {
        const char *patch = NULL;
        assert_string_equal(version + 1, strchr(ask_tcmalloc(NULL, NULL, &patch), ' ') + 1); /* "gperftools 2.10" */
    } else if (allocator_is("mimalloc") && find(&ask_mimalloc, "mi_version")) {
        int numbers[3];
        assert_int_equal(sscanf(version, "-%d.%d.%d", &numbers[0], &numbers[1], &numbers[2]), 3);
        int number = ask_mimalloc(); /* 2.0.9 is 209, 3.0.10 is 3010 and 3.6.0 is 30600 */
        int of_patch = number < 1000 ? 10 : 100;
        int of_minor = number < 10000 ? 10 : 100;
        assert_int_equal((numbers[0] * of_minor + numbers[1]) * of_patch + numbers[2], number);
    } else if (allocator_is("libc") && find(&ask_libc, "gnu_get_libc_version")) {
        assert_string_equal(version + 1, ask_libc());
    } else {
        print_message("skipped: there is no library to ask\n");
        skip();
    }
}

static void test_info_fills_what_it_is_given(void **state)
{
    (void) state;
    assert_int_equal(zmalloc_get_allocator_info(NULL, NULL, NULL), 1);
    int status = zmalloc_allocator_info(NULL, NULL, NULL);
    assert_true(status == 0 || status == -ENOTSUP);

    void *block = zmalloc(1000); /* before the first one, 0 bytes is a true answer */
    for (int mask = 0; mask < 8; mask++) {
        size_t old[3] = {1, 1, 1};
        size_t extended[3] = {1, 1, 1};
        assert_int_equal(zmalloc_get_allocator_info(mask & 1 ? &old[0] : NULL, mask & 2 ? &old[1] : NULL,
                                                    mask & 4 ? &old[2] : NULL),
                         1);
        zmalloc_allocator_info(mask & 1 ? &extended[0] : NULL, mask & 2 ? &extended[1] : NULL,
                               mask & 4 ? &extended[2] : NULL);
        for (int i = 0; i < 3; i++) {
            bool asked = (mask & 1 << i) != 0;
            assert_int_equal(old[i] != 1, asked);
            assert_int_equal(extended[i] != 1, asked);
            assert_int_not_equal(old[i], ZMALLOC_UNKNOWN);
            assert_int_not_equal(extended[i], 0);
            /* The same figure twice; nothing but the allocator itself goes on in between. */
            size_t known = extended[i] != ZMALLOC_UNKNOWN ? extended[i] : 0;
            assert_int_equal(old[i] == 0, known == 0);
            assert_true(old[i] + (1 << 20) >= known && known + (1 << 20) >= old[i]);
        }
    }
    zfree(block);
}

static void check_order(size_t smaller, size_t larger)
{
    assert_true(smaller == ZMALLOC_UNKNOWN || larger == ZMALLOC_UNKNOWN || smaller <= larger);
}

static void test_info_follows_what_is_allocated(void **state)
{
    (void) state;
    enum { BLOCKS = 2000, SIZE = 30000 };
    static void *blocks[BLOCKS];
    size_t before[3];
    size_t full[3];
    size_t after[3];

    zmalloc_allocator_info(&before[0], &before[1], &before[2]);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = zmalloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    zmalloc_allocator_info(&full[0], &full[1], &full[2]);
    size_t used = zmalloc_used_memory();
    for (size_t i = 0; i < BLOCKS; i++) {
        zfree(blocks[i]);
    }
    zmalloc_allocator_info(&after[0], &after[1], &after[2]);

    check_order(full[0], full[1]);
    check_order(full[1], full[2]);
    check_order(full[0], full[2]);
    if (full[0] != ZMALLOC_UNKNOWN) {
        assert_true(full[0] >= used - PREFIX_SIZE * BLOCKS);
        assert_true(full[0] - before[0] >= (size_t) BLOCKS * SIZE);
        assert_true(full[0] - before[0] < (size_t) BLOCKS * SIZE * 2);
        assert_true(full[0] - after[0] >= (size_t) BLOCKS * SIZE * 9 / 10);
    }
    if (full[1] != ZMALLOC_UNKNOWN) {
        assert_true(full[1] - before[1] >= (size_t) BLOCKS * SIZE);
        /* glibc's are the heap's; others' are of pages with blocks in them. */
        assert_true(allocator_is("libc") || full[1] - after[1] >= (size_t) BLOCKS * SIZE * 9 / 10);
    }
    if (full[2] != ZMALLOC_UNKNOWN) {
        assert_true(full[2] >= (size_t) BLOCKS * SIZE * 9 / 10);
    }
}

/* glibc 2.43 goes on counting a few bytes of each resizing of a block with a mapping of its own. */
static void test_info_forgets_resized_blocks(void **state)
{
    (void) state;
    enum { LARGE = 40 << 20, ROUNDS = 2000 };
    if (!allocator_is("libc") || HARDENED || malloc_is_mute()) {
        skip(); /* others may copy such blocks */
    }
    size_t before;
    size_t full;
    size_t after;
    zmalloc_allocator_info(&before, NULL, NULL);
    char *block = zmalloc(LARGE);
    for (int i = 0; i < ROUNDS; i++) {
        block = zrealloc(block, i % 2 == 0 ? 2 * (size_t) LARGE : LARGE);
    }
    zmalloc_allocator_info(&full, NULL, NULL);
    zfree(block);
    zmalloc_allocator_info(&after, NULL, NULL);
    assert_true(full - before >= LARGE && full - before < 2 * (size_t) LARGE);
    assert_true(after < before + ROUNDS);
}

/* What each allocator is known to be able to tell: a figure that goes missing must not go unnoticed. */
static void test_info_is_known_where_it_can_be(void **state)
{
    (void) state;
    size_t allocated;
    size_t active;
    size_t resident;
    assert_int_equal(zmalloc_allocator_info(&allocated, &active, &resident), malloc_is_mute() ? -ENOTSUP : 0);
    bool mimalloc = allocator_is("mimalloc");
    bool libc = allocator_is("libc");
    assert_int_equal(allocated != ZMALLOC_UNKNOWN, !mimalloc && !malloc_is_mute());
    assert_int_equal(active != ZMALLOC_UNKNOWN, !mimalloc && !malloc_is_mute());
    assert_int_equal(resident != ZMALLOC_UNKNOWN, !libc && !allocator_is("mimalloc-3"));
}

/* Many small blocks in memory of their own, so that only the allocator's pages come and go. */
enum { SMALL = 500, ALL_SMALL = 200 << 20, SMALL_BLOCKS = ALL_SMALL / SMALL };

static void check_purge(int (*purge)(void))
{
    if (malloc_is_mute()) {
        assert_int_equal(zmalloc_purge(NULL), -ENOTSUP);
        assert_int_equal(jemalloc_purge(), -1);
        print_message("skipped: this malloc gives nothing back when told to\n");
        skip();
    }
    void **blocks =
        mmap(NULL, SMALL_BLOCKS * sizeof(*blocks), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(blocks, MAP_FAILED);
    for (size_t i = 0; i < SMALL_BLOCKS; i++) {
        blocks[i] = zmalloc(SMALL);
        memset(blocks[i], 1, SMALL);
    }
    size_t full = resident_now();
    assert_true(full > ALL_SMALL);
    /* The last one freed is not the last one allocated: the top of a heap alone is no test. */
    void *last = blocks[SMALL_BLOCKS - 1];
    for (size_t i = 0; i < SMALL_BLOCKS - 1; i++) {
        zfree(blocks[i]);
    }
    munmap(blocks, SMALL_BLOCKS * sizeof(*blocks));
    assert_int_equal(purge(), 0);
    size_t purged = resident_now();
    zfree(last);
    if (full - purged < (size_t) ALL_SMALL / 10 * 8 || purged > full) {
        fail_msg("resident %zu bytes when full, %zu after the purge", full, purged);
    }
}

/* What it says came back is what went. */
static int purge_and_be_told(void)
{
    size_t before = resident_now();
    size_t returned = 0;
    int error = zmalloc_purge(&returned);
    size_t after = resident_now();
    assert_true(before > after && returned > (before - after) / 10 * 9 && returned < (before - after) / 10 * 11);
    return error;
}

static void test_purge(void **state)
{
    (void) state;
    check_purge(purge_and_be_told);
    /* Where there is nothing more to be had, that is what it says; all that is ever had is whole pages. */
    for (int i = 0; i < 5; i++) {
        size_t returned = 1;
        assert_int_equal(zmalloc_purge(&returned), 0);
        assert_int_equal(returned % (size_t) sysconf(_SC_PAGESIZE), 0);
    }
}

static void test_purge_by_its_old_name(void **state)
{
    (void) state;
    check_purge(jemalloc_purge);
}

/* All of a thread's blocks, one above the other: their end is that of the thread's arena, where there is one. */
static void *free_and_purge(void *context)
{
    enum { SIZE = 100, COUNT = 500000 };
    static void *blocks[COUNT];
    size_t *kept = context;
    memset(blocks, 0, sizeof(blocks));
    size_t before = resident_now();
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = zmalloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    size_t full = resident_now();
    for (size_t i = 0; i < COUNT; i++) {
        zfree(blocks[i]);
    }
    zmalloc_purge(NULL);
    size_t after = resident_now();
    *kept = after > before ? (after - before) * 100 / (full - before) : 0;
    return NULL;
}

static void test_purge_by_the_thread_that_freed(void **state)
{
    (void) state;
    pthread_t thread;
    size_t percent_kept = 100;
    if (malloc_is_mute()) {
        skip();
    }
    assert_int_equal(pthread_create(&thread, NULL, free_and_purge, &percent_kept), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(percent_kept <= 25);
}

static void test_discarded_pages_read_as_zero(void **state)
{
    (void) state;
    enum { LARGE = 64 << 20 };
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    unsigned char *ptr = zmalloc(LARGE);
    memset(ptr, 0xaa, LARGE);
    size_t used = zmalloc_used_memory();
    size_t full = resident_now();
    zmadvise_dontneed(ptr);
    size_t discarded = resident_now();

    assert_true(full - discarded > (size_t) LARGE / 10 * 9 && full > discarded);
    assert_int_equal(zmalloc_used_memory(), used);
    size_t first = (page - (uintptr_t) ptr % page) % page;
    size_t last = LARGE - page - ((uintptr_t) ptr + LARGE) % page;
    assert_true(all_zero(ptr + first, last - first));
    for (size_t i = 0; i < first; i++) {
        assert_int_equal(ptr[i], 0xaa);
    }
    memset(ptr, 1, LARGE);
    zfree(ptr);
}

/* Blocks of every size around a page: only whole pages inside one block may go. */
static void test_neighbours_of_discarded_pages_stay(void **state)
{
    (void) state;
    enum { BLOCKS = 3000 };
    static void *blocks[BLOCKS];
    static size_t usable[BLOCKS];

    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = zmalloc_usable(i % 2 == 0 ? i * 11 : 4096, &usable[i]);
        fill(blocks[i], 0, usable[i], (unsigned) i);
    }
    for (size_t i = 0; i < BLOCKS; i += 2) {
        zmadvise_dontneed(blocks[i]);
    }
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < BLOCKS; i++) {
        bool kept = i % 2 == 1 || usable[i] < page;
        expect(!kept || filled(blocks[i], usable[i], (unsigned) i), "block", usable[i]);
        zfree(blocks[i]);
    }
}

/* A thread's cache gives the block last freed to the next who asks for that size; whoever goes past it gets another.
 */
static void test_no_tcache_goes_past_the_cache(void **state)
{
    (void) state;
    static const size_t sizes[] = {16, 48, 320, 8192};
    if (!allocator_is("jemalloc") || HARDENED) { /* a hardened library keeps freed blocks from use for a while */
        skip();
    }
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        void *cached = zmalloc(sizes[i]);
        zfree(cached);
        void *again = zmalloc(sizes[i]);
        expect(again == cached, "the cache serves zmalloc", sizes[i]);
        zfree(again);

        void *uncached = zmalloc_no_tcache(sizes[i]);
        expect(uncached != cached, "zmalloc_no_tcache", sizes[i]);
        zfree_no_tcache(uncached);
        again = zmalloc(sizes[i]);
        expect(again == cached, "zfree_no_tcache", sizes[i]);
        zfree(again);
    }
}

static int threads_of_this_process(void)
{
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(tasks);
    return count;
}

static void test_background_thread(void **state)
{
    (void) state;
    bool has_one = allocator_is("jemalloc");
    int expected = has_one ? 0 : -ENOTSUP;
    int alone = threads_of_this_process(); /* an emulator has one of its own */
    for (int round = 0; round < 3; round++) {
        assert_int_equal(zmalloc_background_thread(1), expected);
        assert_int_equal(threads_of_this_process() > alone, has_one);
        assert_int_equal(zmalloc_background_thread(2), expected);
        zfree(zmalloc(100000));
        assert_int_equal(zmalloc_background_thread(0), expected);
        set_jemalloc_bg_thread(1);
        assert_int_equal(threads_of_this_process() > alone, has_one);
        set_jemalloc_bg_thread(0);
    }
}

static const struct CMUnitTest tests[] = {
    balanced(test_name),
    balanced(test_version),
    balanced(test_info_fills_what_it_is_given),
    balanced(test_info_forgets_resized_blocks),
    balanced(test_info_is_known_where_it_can_be),
    balanced(test_info_follows_what_is_allocated),
    balanced(test_purge),
    balanced(test_purge_by_its_old_name),
    balanced(test_purge_by_the_thread_that_freed),
    balanced(test_discarded_pages_read_as_zero),
    balanced(test_neighbours_of_discarded_pages_stay),
    balanced(test_no_tcache_goes_past_the_cache),
    balanced(test_background_thread),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
