/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread stands still in the allocator, with bytes of a limit claimed. Whoever may have room, if that comes to
 * nothing, waits for it a while; and holds up nobody meanwhile.
 */
#include "faults.h"
#include "support.h"
#include "threads.h"

#include <sched.h>
#include <semaphore.h>

#define PARAMETERS (size_t size)
#define ARGUMENTS (size)
#ifdef FAULTS_JEMALLOC
#define WRAPPED je_malloc_tsd_or
#undef PARAMETERS
#undef ARGUMENTS
#define PARAMETERS (size_t size, AFTER_FIRST void *tsd, void *(*next)(size_t size))
#define ARGUMENTS (size, ANY tsd, next)
#elif defined(FAULTS_TCMALLOC)
#define WRAPPED tc_malloc
#elif defined(FAULTS_MIMALLOC)
#define WRAPPED mi_malloc
#else
#define WRAPPED malloc
#endif
#define JOINED(a, b) a##b
#define WITH_NAME(prefix, name) JOINED(prefix, name)
#define REAL WITH_NAME(__real_, WRAPPED)
#define WRAP WITH_NAME(__wrap_, WRAPPED)

enum { SMALL = 1000, LARGE = 80000, ROOM = 100000 };

static _Thread_local bool stands_still;
static sem_t arrived;
static sem_t may_go_on;
static sem_t has_ended;
static void (*when_others_wait)(void);
static _Atomic size_t waits;

void *REAL PARAMETERS;
void *WRAP PARAMETERS;

/* Who stands still in here gets nothing in the end. */
void *WRAP PARAMETERS
{
    if (!stands_still) {
        return REAL ARGUMENTS;
    }
    sem_post(&arrived);
    sem_wait(&may_go_on);
    return NULL;
}

/* In the C library's place. */
int sched_yield(void)
{
    waits++;
    if (when_others_wait != NULL) {
        when_others_wait();
    }
    return 0;
}

static void *claim_and_stand_still(void *unused)
{
    zfree(ztrymalloc(SMALL));
    stands_still = true;
    check(ztrymalloc(LARGE) == NULL);
    stands_still = false;
    sem_post(&has_ended);
    return unused;
}

static pthread_t thread;
static bool thread_is_there;
static size_t used_before;

static void let_it_go_on(void)
{
    when_others_wait = NULL;
    sem_post(&may_go_on);
    sem_wait(&has_ended);
    thread_is_there = false;
}

static int set_up(void **state)
{
    (void) state;
    waits = 0;
    used_before = zmalloc_used_memory();
    assert_int_equal(zmalloc_set_limit(used_before + ROOM), 0);
    thread = start(claim_and_stand_still, NULL);
    thread_is_there = true;
    sem_wait(&arrived);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    if (thread_is_there) {
        let_it_go_on();
    }
    join(thread);
    assert_int_equal(zmalloc_used_memory(), used_before);
    return zmalloc_set_limit(0);
}

static void test_room_is_had_once_the_other_claim_has_come_to_nothing(void **state)
{
    (void) state;
    when_others_wait = let_it_go_on;
    void *ptr = ztrymalloc(LARGE);
    assert_non_null(ptr);
    assert_int_equal(waits, 1);
    zfree(ptr);
}

static void test_refused_if_that_takes_too_long(void **state)
{
    (void) state;
    assert_null(ztrymalloc(LARGE));
    assert_true(waits > 1);
    assert_int_equal(zmalloc_used_memory(), used_before);
}

static void test_room_for_both_is_had_at_once(void **state)
{
    (void) state;
    void *ptr = ztrymalloc(SMALL);
    assert_non_null(ptr);
    zfree(ptr);
    assert_int_equal(waits, 0);
}

static void test_room_for_neither_is_refused_at_once(void **state)
{
    (void) state;
    assert_null(ztrymalloc(2 * ROOM));
    assert_int_equal(waits, 0);
}

/* Another that is served while the first waits. */
static void *take_a_little(void *unused)
{
    void *ptr = ztrymalloc(SMALL);
    check(ptr != NULL);
    zfree(ptr);
    return unused;
}

static void serve_another(void)
{
    when_others_wait = NULL;
    join(start(take_a_little, NULL));
    let_it_go_on();
}

static void test_who_waits_holds_up_nobody(void **state)
{
    (void) state;
    when_others_wait = serve_another;
    void *ptr = ztrymalloc(LARGE);
    assert_non_null(ptr);
    zfree(ptr);
}

#define waiting(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        waiting(test_room_is_had_once_the_other_claim_has_come_to_nothing),
        waiting(test_refused_if_that_takes_too_long),
        waiting(test_room_for_both_is_had_at_once),
        waiting(test_room_for_neither_is_refused_at_once),
        waiting(test_who_waits_holds_up_nobody),
    };
    sem_init(&arrived, 0, 0);
    sem_init(&may_go_on, 0, 0);
    sem_init(&has_ended, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
