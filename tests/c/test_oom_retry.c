/* SPDX-License-Identifier: BSD-3-Clause */
/* The out-of-memory handler that answers: it frees, and the request is tried again. */
#include "limited.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct store {
    void *blocks[10];
    size_t count;
    size_t calls;
    bool lies;
};

static int give_one_up(size_t size, void *context)
{
    struct store *store = context;
    store->calls++;
    handler_size = size;
    if (store->count > 0) {
        zfree(store->blocks[--store->count]);
        return 1;
    }
    return store->lies;
}

static void stock(struct store *store)
{
    for (store->count = 0; store->count < LENGTH(store->blocks); store->count++) {
        store->blocks[store->count] = zmalloc(100000);
    }
}

static void test_handler_that_frees_is_asked_until_it_is_enough(void **state)
{
    (void) state;
    for (size_t i = 0; i < LENGTH(ways); i++) {
        if (!ways[i].calls_handler) {
            continue;
        }
        struct store store = {0};
        size_t usable = 0;
        stock(&store);
        limit_to(zmalloc_used_memory() + 1000);
        assert_int_equal(zmalloc_set_oom_retry_handler(give_one_up, &store), 0);
        void *ptr = ways[i].get(350000, &usable);
        assert_non_null(ptr);
        assert_true(usable >= 350000);
        assert_true(store.calls >= 3 && store.calls <= 5);
        assert_int_equal(handler_size, 350000);
        assert_null(ways[i].get(2 << 20, &usable));
        assert_int_equal(usable, 0);
        assert_int_equal(store.count, 0);
        zfree(ptr);
        limit_to(0);
    }
}

static void test_handler_that_only_says_so_is_not_asked_for_ever(void **state)
{
    (void) state;
    struct store store = {.lies = true};
    limit_to(1);
    assert_int_equal(zmalloc_set_oom_retry_handler(give_one_up, &store), 0);
    for (size_t i = 0; i < LENGTH(ways); i++) {
        size_t usable;
        store.calls = 0;
        assert_null(ways[i].get(100, &usable));
        assert_int_equal(store.calls, ways[i].calls_handler ? ZMALLOC_MOST_RETRIES + 1 : 0);
    }
    store.calls = ZMALLOC_MOST_RETRIES + 1;
    volatile size_t many = SIZE_MAX;
    assert_null(zcalloc_num(many, 2));
    assert_int_equal(handler_size, SIZE_MAX);
    assert_null(ztrymalloc(100));
    assert_int_equal(store.calls, 2 * (ZMALLOC_MOST_RETRIES + 1));
}

static void test_either_handler_takes_the_others_place(void **state)
{
    (void) state;
    struct store store = {0};
    limit_to(1);
    assert_int_equal(zmalloc_set_oom_retry_handler(give_one_up, &store), 0);
    assert_null(zmalloc(100));
    assert_true(store.calls == 1 && handler_calls == 0);
    zmalloc_set_oom_handler(take_note);
    assert_null(zmalloc(100));
    assert_true(store.calls == 1 && handler_calls == 1);
    for (size_t i = 0; i < 1000; i++) { /* more contexts than a page of callbacks has room for */
        assert_int_equal(zmalloc_set_oom_retry_handler(give_one_up, &store.blocks[i % 3] + i), 0);
    }
    assert_int_equal(zmalloc_set_oom_retry_handler(give_one_up, &store), 0);
    assert_null(zmalloc(100));
    assert_int_equal(store.calls, 2);
    assert_int_equal(zmalloc_set_oom_retry_handler(NULL, NULL), 0);
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        zfree(zmalloc(100));
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static const struct CMUnitTest tests[] = {
    limited(test_handler_that_frees_is_asked_until_it_is_enough),
    limited(test_handler_that_only_says_so_is_not_asked_for_ever),
    limited(test_either_handler_takes_the_others_place),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
