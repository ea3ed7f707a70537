/* SPDX-License-Identifier: BSD-3-Clause */
/* What a hardened library does to right uses: what it grants, counts and keeps, when it has no memory, and at fork.
 */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { QUARANTINE = 1 << 20 };

/* The program's own handlers of fork, older than the library's: they allocate while it has all its locks. */
static int handled;

static void use_in_handler(void)
{
    void *block = zmalloc(100);
    block = zrealloc(block, 200);
    handled += zmalloc_usable_size(block) == 200;
    zfree(block);
}

/* Before the library's own constructor, as this program has the library's objects in it. */
__attribute__((constructor(101))) static void start_early(void)
{
    use_in_handler();
    pthread_atfork(use_in_handler, use_in_handler, use_in_handler);
}

/* After the library's own destructor. */
__attribute__((destructor(101))) static void end_late(void)
{
    use_in_handler();
}

static void test_exactly_what_was_asked_for_is_usable_and_counted(void **state)
{
    (void) state;
    for (size_t w = 0; w < LENGTH(ways); w++) {
        for (size_t size = 1; size < 3000000; size += 1 + size / 3) {
            size_t before = zmalloc_used_memory();
            size_t usable;
            void *ptr = ways[w].get(size, &usable);
            expect(usable == size && zmalloc_size(ptr) == size, ways[w].name, size);
            expect(zmalloc_used_memory() == before + size, ways[w].name, size);
            expect(zmalloc_good_size(size) == size, ways[w].name, size);
            zfree(ptr);
            expect(zmalloc_used_memory() == before, ways[w].name, size);
        }
    }
}

static void test_an_address_does_not_come_back_at_once_but_after_a_purge(void **state)
{
    (void) state;
    zmalloc_purge(NULL);
    void *freed = zmalloc(1000);
    uintptr_t address = (uintptr_t) freed;
    zfree(freed);
    void *blocks[100];
    for (size_t i = 0; i < LENGTH(blocks); i++) {
        blocks[i] = zmalloc(1000);
        assert_true((uintptr_t) blocks[i] != address);
    }
    for (size_t i = 0; i < LENGTH(blocks); i++) {
        zfree(blocks[i]);
    }
}

static size_t allocated_by_allocator(void)
{
    size_t allocated;
    assert_int_equal(zmalloc_allocator_info(&allocated, NULL, NULL), 0);
    return allocated;
}

static void test_quarantine_has_a_limit_and_is_emptied_by_a_purge(void **state)
{
    (void) state;
    zmalloc_purge(NULL);
    size_t before = allocated_by_allocator();
    if (before == ZMALLOC_UNKNOWN) {
        return;
    }
    for (size_t i = 0; i < 100; i++) {
        zfree(zmalloc(QUARANTINE / 16));
    }
    size_t held = allocated_by_allocator();
    zmalloc_purge(NULL);
    size_t after = allocated_by_allocator();
    assert_true(held > after + QUARANTINE / 2 || strncmp(ZMALLOC_LIB, "libc", 4) != 0);
    assert_true(held <= before + 4 * QUARANTINE);
    assert_true(after <= before + QUARANTINE / 4 || strncmp(ZMALLOC_LIB, "libc", 4) != 0);
}

enum { MANY = 1000000 };

/* Whichever part of a request fails for want of memory, the request does, and nothing else. */
static void test_out_of_memory_is_a_failed_request(void **state)
{
    (void) state;
    static void *blocks[MANY];
    for (rlim_t limit = 20; limit < 40; limit += 2) {
        pid_t child = fork();
        if (child == 0) {
            struct rlimit data = {limit << 20, limit << 20};
            size_t before = zmalloc_used_memory();
            size_t made = 0;
            setrlimit(RLIMIT_DATA, &data);
            setrlimit(RLIMIT_AS, &data);
            while (made < MANY && (blocks[made] = ztrymalloc(16)) != NULL) {
                made++;
            }
            bool counted = zmalloc_used_memory() == before + made * 16;
            for (size_t i = 0; i < made; i++) {
                zfree(blocks[i]);
            }
            _exit(counted && made < MANY && zmalloc_used_memory() == before ? 42 : 1);
        }
        int status;
        assert_true(waitpid(child, &status, 0) == child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    }
}

static atomic_bool enough;

static void *churn(void *unused)
{
    (void) unused;
    while (!enough) {
        zfree(zrealloc(zmalloc(100), 300));
    }
    return NULL;
}

static void test_forks_find_the_library_whole(void **state)
{
    (void) state;
    pthread_t threads[3];
    for (size_t i = 0; i < LENGTH(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, churn, NULL), 0);
    }
    int handled_before = handled;
    for (int i = 1; i <= 60; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            use_in_handler();
            zmalloc_purge(NULL);
            _exit(handled == handled_before + 2 * i + 1 ? 42 : 1);
        }
        int status;
        assert_true(waitpid(child, &status, 0) == child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    }
    enough = true;
    for (size_t i = 0; i < LENGTH(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(handled, handled_before + 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        balanced(test_exactly_what_was_asked_for_is_usable_and_counted),
        balanced(test_an_address_does_not_come_back_at_once_but_after_a_purge),
        balanced(test_quarantine_has_a_limit_and_is_emptied_by_a_purge),
        balanced(test_out_of_memory_is_a_failed_request),
        balanced(test_forks_find_the_library_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
