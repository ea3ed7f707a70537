/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forks that meet: of more threads at once than the library has notes for, of one thread while another is in the
 * middle of its own, within a fork handler, and within the handler of a soft limit. The program's fork handlers are
 * older than the library's: they run while that takes the thread for one that forks.
 */
#include "threads.h"

#include <signal.h>
#include <sys/wait.h>

#ifdef __GLIBC__
#define FORKS_MEET __GLIBC_PREREQ(2, 36)
#else
#define FORKS_MEET 0
#endif

#if !FORKS_MEET
int main(void)
{
    puts("skipped: this C library lets one thread fork at a time");
    return SKIPPED;
}
#else

enum { CROWD = 80, NOTES = 64, KEPT = 30000, MIB = 1 << 20, SECONDS_TO_HANG = 100 };

/* What the handlers do next, in this thread or in all of them. */
static _Thread_local bool stays_in_fork;
static bool starts_thread_in_child;
static bool ends_thread_in_child;
static bool crosses_in_child;
static bool starts_several_in_child;
static bool reads_before_them;
static bool allocates_in_prepare;
static bool forks_in_handler;

static atomic_int staying;
static atomic_bool may_go_on;
static volatile int forks_of_handler;

static void wait_until(atomic_int *number, int wanted)
{
    while (atomic_load(number) < wanted) {
        usleep(500);
    }
}

static void *do_nothing(void *argument)
{
    return argument;
}

static size_t kept_by_all;

static void *allocate_and_read(void *argument)
{
    check_used(kept_by_all);
    void *block = zmalloc(5000);
    check_used(kept_by_all + zmalloc_size(block));
    zfree(block);
    return argument;
}

/* Threads that are all there at once: one of them has the memory of the thread that is not in the child. */
enum { SEVERAL = 4, OF_EACH = 5000 };
static atomic_int allocated_by_several;
static atomic_int read_by_several;
static atomic_int several_may_end;
static pthread_t several[SEVERAL];
static size_t kept_by_several;

static void *allocate_and_read_together(void *argument)
{
    void *block = zmalloc(OF_EACH);
    atomic_fetch_add(&allocated_by_several, 1);
    wait_until(&allocated_by_several, SEVERAL);
    check_used(kept_by_all + SEVERAL * zmalloc_size(block));
    atomic_fetch_add(&read_by_several, 1);
    wait_until(&several_may_end, 1);
    zfree(block);
    return argument;
}

static void have_several_read(void)
{
    for (int i = 0; i < SEVERAL; i++) {
        several[i] = start(allocate_and_read_together, NULL);
        wait_until(&allocated_by_several, i + 1); /* the first settles the child, if nobody has */
    }
    wait_until(&read_by_several, SEVERAL);
    void *same = zmalloc(OF_EACH);
    kept_by_several = SEVERAL * zmalloc_size(same);
    zfree(same);
}

/* After the library's handler: whose memory, or slot, one of them has is known by then. */
static void let_several_end(void)
{
    check_used(kept_by_all + kept_by_several);
    atomic_store(&several_may_end, 1);
    for (int i = 0; i < SEVERAL; i++) {
        join(several[i]);
    }
    kept_by_several = 0;
    check_used(kept_by_all);
}

static volatile int calls; /* of the soft limit's handler */

static void note_call(size_t used, void *context)
{
    (void) used;
    (void) context;
    calls++;
}

static void cross_soft_limit(int expected_calls)
{
    calls = 0;
    check(zmalloc_set_soft_limit(zmalloc_used_memory() + MIB, 0, note_call, NULL) == 0);
    zfree(zmalloc(2 * MIB));
    check(calls == expected_calls);
}

/* In a child that is not settled: whoever forked may be the one in the handler. */
static void *cross_and_be_told_nothing(void *argument)
{
    cross_soft_limit(0); /* whoever forked may be in the handler */
    return argument;
}

static void check_end_of(pid_t child)
{
    int status;
    check(child > 0);
    check(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "a child ended with status %#x\n", (unsigned) status);
        _exit(1);
    }
}

static void fork_in_prepare(void)
{
    pid_t child = fork();
    forks_of_handler++;
    if (child != 0) {
        check_end_of(child);
    }
}

static void *block_of_prepare;

static void prepare(void)
{
    if (stays_in_fork) {
        stays_in_fork = false;
        atomic_fetch_add(&staying, 1);
        while (!atomic_load(&may_go_on)) {
            usleep(500);
        }
    }
    if (allocates_in_prepare) {
        block_of_prepare = zmalloc(KEPT);
        kept_by_all += zmalloc_size(block_of_prepare);
    }
    if (forks_in_handler) {
        forks_in_handler = false;
        fork_in_prepare();
    }
}

static void begin_child(void)
{
    alarm(SECONDS_TO_HANG);
    if (ends_thread_in_child) {
        join(start(do_nothing, NULL));
    }
    if (starts_thread_in_child) {
        join(start(allocate_and_read, NULL));
    }
    if (starts_several_in_child) {
        if (reads_before_them) {
            check_used(kept_by_all);
        }
        have_several_read();
    }
    if (crosses_in_child) {
        join(start(cross_and_be_told_nothing, NULL));
    }
}

static bool has_handlers;

static void register_handlers(void)
{
    has_handlers = pthread_atfork(prepare, NULL, begin_child) == 0;
}

/* Before every library's constructor. */
__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = register_handlers;

static void live_in_child(void)
{
    alarm(SECONDS_TO_HANG);
    if (kept_by_several > 0) {
        let_several_end();
    }
    for (int i = 0; i < 2; i++) {
        allocate_and_read(NULL);
        join(start(allocate_and_read, NULL));
    }
    check_used(kept_by_all);
    _exit(0);
}

static void *fork_and_check(void *argument)
{
    stays_in_fork = argument != NULL;
    pid_t child = fork();
    if (child == 0) {
        live_in_child();
    }
    check_end_of(child);
    return NULL;
}

static atomic_int about_to_fork;

static void *fork_in_crowd(void *argument)
{
    atomic_fetch_add(&about_to_fork, 1);
    return fork_and_check(argument);
}

/* An allocator that has its locks over a fork lets one thread come as far as the older handlers. */
static void more_threads_than_notes(void)
{
    pthread_t threads[CROWD];
    for (size_t i = 0; i < CROWD; i++) {
        threads[i] = start(fork_in_crowd, &may_go_on);
    }
    wait_until(&about_to_fork, CROWD);
    for (int i = 0; i < 500 && atomic_load(&staying) < NOTES; i++) {
        usleep(1000);
    }
    usleep(20000); /* those that have no note yet are waiting for one */
    atomic_store(&may_go_on, true);
    for (size_t i = 0; i < CROWD; i++) {
        join(threads[i]);
    }
}

static _Atomic(void *) kept;

static void *keep_and_fork(void *argument)
{
    void *block = zmalloc(KEPT);
    atomic_store(&kept, block);
    if (argument != NULL) {
        fork_and_check(argument);
    }
    while (!atomic_load(&may_go_on)) {
        usleep(500);
    }
    zfree(block);
    return NULL;
}

/* How much it is, while it is kept. */
static size_t wait_for_kept(void)
{
    while (atomic_load(&kept) == NULL) {
        usleep(500);
    }
    return zmalloc_size(atomic_exchange(&kept, NULL));
}

/* Its stack may be too large for the C library to keep: then it is gone with the next thread that ends. */
static pthread_t start_thread(void *(*run)(void *), void *argument, bool with_large_stack)
{
    pthread_attr_t attributes;
    atomic_store(&staying, 0);
    atomic_store(&may_go_on, false);
    check(pthread_attr_init(&attributes) == 0);
    check(!with_large_stack || pthread_attr_setstacksize(&attributes, (size_t) 64 * MIB) == 0);
    pthread_t thread = start_with(&attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return thread;
}

static pthread_t start_staying(void *(*run)(void *), bool with_large_stack)
{
    pthread_t thread = start_thread(run, &may_go_on, with_large_stack);
    wait_until(&staying, 1);
    return thread;
}

static void let_go_on(pthread_t thread)
{
    atomic_store(&may_go_on, true);
    join(thread);
}

/*
 * In the child a new thread comes first: it can't know which of the two it was that forked. It may have the other
 * one's memory, or that is gone.
 */
static void one_while_another_is_in_fork(bool with_large_stack)
{
    pthread_t other = start_staying(keep_and_fork, with_large_stack);
    size_t size = wait_for_kept();
    kept_by_all += size;
    for (int i = 0; i < 4; i++) {
        starts_thread_in_child = i % 2 == 0;
        ends_thread_in_child = i / 2 == 0;
        fork_and_check(NULL);
    }
    starts_thread_in_child = false;
    ends_thread_in_child = false;
    starts_several_in_child = true;
    fork_and_check(NULL);
    reads_before_them = true;
    fork_and_check(NULL);
    reads_before_them = false;
    starts_several_in_child = false;
    let_go_on(other);
    kept_by_all -= size;
}

/* A thread that has made no call is live before it forks, and after the library's handler: it forked all the same. */
static void one_that_comes_late(void)
{
    allocates_in_prepare = true;
    starts_thread_in_child = true;
    join(start(fork_and_check, NULL));
    allocates_in_prepare = false;
    starts_thread_in_child = false;
    check_used(kept_by_all);
    kept_by_all -= zmalloc_size(block_of_prepare);
    zfree(block_of_prepare);
}

/* In the child its stack is gone before the library's handler comes. */
static void one_with_a_stack_that_goes(void)
{
    pthread_t other = start_thread(keep_and_fork, NULL, true);
    size_t size = wait_for_kept();
    kept_by_all += size;
    ends_thread_in_child = true;
    fork_and_check(NULL);
    ends_thread_in_child = false;
    let_go_on(other);
    kept_by_all -= size;
}

/* Parent and child of a fork in a handler go on with the fork that the handler is part of. */
static void one_in_a_handler(void)
{
    forks_in_handler = true;
    fork_and_check(NULL);
    check(forks_of_handler == 1 && !forks_in_handler);
    fork_and_check(NULL);
}

static void fork_and_cross(int expected_calls)
{
    pid_t child = fork();
    if (child == 0) {
        alarm(SECONDS_TO_HANG);
        cross_soft_limit(expected_calls);
        _exit(0);
    }
    check_end_of(child);
}

static void stay_in_soft_handler(size_t used, void *context)
{
    (void) used;
    (void) context;
    atomic_fetch_add(&staying, 1);
    while (!atomic_load(&may_go_on)) {
        usleep(500);
    }
}

static void fork_in_soft_handler(size_t used, void *context)
{
    (void) used;
    stays_in_fork = context != NULL;
    pid_t child = fork();
    if (child == 0) {
        alarm(SECONDS_TO_HANG);
        cross_soft_limit(0); /* this thread is in a handler still */
        forks_of_handler = -1;
        return;
    }
    check_end_of(child);
}

static void (*soft_handler)(size_t used, void *context);

static void *call_soft_handler(void *argument)
{
    forks_of_handler = 0;
    check(zmalloc_set_soft_limit(zmalloc_used_memory() + MIB, 0, soft_handler, argument) == 0);
    zfree(zmalloc(2 * MIB));
    if (forks_of_handler < 0) {
        cross_soft_limit(1);
        _exit(0);
    }
    return NULL;
}

/* A handler that runs is not called again. In a child where its thread is not, it is. */
static void others_while_one_is_in_the_handler(void)
{
    soft_handler = stay_in_soft_handler;
    pthread_t other = start_staying(call_soft_handler, false);
    fork_and_cross(1);
    cross_soft_limit(0);
    let_go_on(other);
    cross_soft_limit(1);
}

static void one_in_the_handler(void)
{
    soft_handler = fork_in_soft_handler;
    call_soft_handler(NULL);
    cross_soft_limit(1);
}

static void others_while_one_forks_in_the_handler(void)
{
    soft_handler = fork_in_soft_handler;
    pthread_t other = start_staying(call_soft_handler, false);
    crosses_in_child = true;
    fork_and_cross(1);
    crosses_in_child = false;
    fork_and_cross(1);
    let_go_on(other);
    check(zmalloc_set_soft_limit(0, 0, NULL, NULL) == 0);
}

static bool allocator_is(const char *name)
{
    return strncmp(ZMALLOC_LIB, name, strlen(name)) == 0;
}

/* Locks over a fork: the allocator's, or the hardened heap's. */
#ifdef ZMALLOC_TESTS_HARDENED
enum { HARDENED = true };
#else
enum { HARDENED = false };
#endif

int main(void)
{
    if (THREAD_SANITIZER || ADDRESS_SANITIZER || is_emulated()) {
        puts("skipped: under a sanitizer or emulation no child of many threads may have threads");
        return SKIPPED;
    }
    check(has_handlers);
    alarm(SECONDS_TO_HANG * 2);
    bool is_tcmalloc = allocator_is("tcmalloc");
    bool has_locks = is_tcmalloc || allocator_is("jemalloc");
    void *block = zmalloc(100);
    kept_by_all = zmalloc_used_memory();
    if (!is_tcmalloc) { /* it has its locks while the older handlers run, and the C library's malloc is that */
        more_threads_than_notes();
        one_with_a_stack_that_goes();
    }
    others_while_one_is_in_the_handler();
    one_in_the_handler();
    if (!has_locks) {
        one_in_a_handler();
    }
    if (!has_locks && !HARDENED) {
        one_that_comes_late();
        one_while_another_is_in_fork(false);
        one_while_another_is_in_fork(true);
        others_while_one_forks_in_the_handler();
    }
    check_used(kept_by_all);
    zfree(block);
    return 0;
}

#endif
