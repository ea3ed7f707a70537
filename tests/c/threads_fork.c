/* SPDX-License-Identifier: BSD-3-Clause */
/* Forks while other threads allocate: the child's used memory starts somewhere and is exact from there on. */
#include "threads.h"

#include <signal.h>
#include <sys/wait.h>

enum { CHURNERS = 6, FORKS = 150, FORKS_IN_HANDLER = 60, CHILD_THREADS = 4 };

static atomic_bool stop;

/* While a child is at work its parent is not: both would only wait for the processor. */
static atomic_bool paused;

static void *churn_until_stopped(void *argument)
{
    struct random random = seeded((uintptr_t) argument);
    void *held = zmalloc(1000);
    while (!atomic_load(&stop)) {
        while (atomic_load(&paused)) {
            usleep(500);
        }
        churn(&random, 20);
        held = zrealloc(held, below(&random, 5000) + 1);
    }
    zfree(held);
    return NULL;
}

/* A child is born amid its readings, and has nobody who would end them. */
static void *read_until_stopped(void *argument)
{
    while (!atomic_load(&stop)) {
        zmalloc_used_memory();
        if (atomic_load(&paused)) {
            usleep(500);
        }
    }
    return argument;
}

static void *churn_briefly(void *argument)
{
    struct random random = seeded((uintptr_t) argument);
    churn(&random, 100);
    return zmalloc(below(&random, 2000));
}

/* What any new process should be able to do: allocate and free, on threads of its own too. */
static void live_a_little(void)
{
    size_t before = zmalloc_used_memory();
    void *block = zmalloc(12345);
    check_used(before + zmalloc_size(block));

    pthread_t threads[CHILD_THREADS];
    for (size_t i = 0; i < CHILD_THREADS; i++) {
        threads[i] = start(churn_briefly, (void *) (uintptr_t) i);
    }
    /* At the same time as they: this thread's counters may be nobody else's. */
    struct random random = seeded(CHILD_THREADS);
    churn(&random, 100);
    size_t left = zmalloc_size(block);
    void *blocks[CHILD_THREADS];
    for (size_t i = 0; i < CHILD_THREADS; i++) {
        check(pthread_join(threads[i], &blocks[i]) == 0);
        left += zmalloc_size(blocks[i]);
    }
    check_used(before + left);
    for (size_t i = 0; i < CHILD_THREADS; i++) {
        zfree(blocks[i]);
    }
    zfree(block);
    check_used(before);
}

static void wait_for(pid_t child)
{
    int status;
    atomic_store(&paused, true);
    check(waitpid(child, &status, 0) == child);
    atomic_store(&paused, false);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Forks, and the child once more. The block is one of the parent's: a child may free what it was born with. */
static void fork_generations(int generations, void *block)
{
    if (generations == 0) {
        return;
    }
    pid_t child = fork();
    check(child >= 0);
    if (child > 0) {
        wait_for(child);
        return;
    }
    size_t before = zmalloc_used_memory();
    size_t size = zmalloc_size(block);
    zfree(block);
    check_used(before - size);
    live_a_little();
    check_used(before - size);
    fork_generations(generations - 1, zmalloc(200));
    _exit(0);
}

static void *fork_from_thread(void *argument)
{
    (void) argument;
    void *block = zmalloc(4321);
    fork_generations(2, block);
    zfree(block);
    return NULL;
}

/* With no other thread at work, parent and child begin with the very same figure. */
static void fork_in_quiet(void)
{
    void *block = zmalloc(7777);
    size_t before = zmalloc_used_memory();
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        check_used(before);
        live_a_little();
        check_used(before);
        _exit(0);
    }
    wait_for(child);
    check_used(before);
    zfree(block);
}

/*
 * A fork in a signal handler that interrupts a reading. The child reads in the handler, goes on with the reading that
 * its parent began, and then does whatever any process does; in the end of its threads it waits for no reader.
 */
static atomic_bool reads;
static volatile pid_t child_of_handler;

static void fork_in_handler(int signal)
{
    (void) signal;
    child_of_handler = fork();
    check(zmalloc_used_memory() != 0);
}

static void *read_until_forked(void *argument)
{
    child_of_handler = -1;
    atomic_store(&reads, true);
    while (child_of_handler < 0) {
        check(zmalloc_used_memory() != 0);
    }
    if (child_of_handler == 0) {
        live_a_little();
        _exit(0);
    }
    wait_for(child_of_handler);
    return argument;
}

static void fork_amid_a_reading(void)
{
    struct sigaction action = {.sa_handler = fork_in_handler};
    check(sigaction(SIGUSR1, &action, NULL) == 0);
    void *block = zmalloc(100);
    atomic_store(&reads, false);
    pthread_t reader = start(read_until_forked, NULL);
    while (!atomic_load(&reads)) {
        usleep(50);
    }
    check(pthread_kill(reader, SIGUSR1) == 0);
    join(reader);
    zfree(block);
}

int main(int argc, char **argv)
{
    if (THREAD_SANITIZER || ADDRESS_SANITIZER) {
        puts("skipped: under a sanitizer no child of many threads may have threads, or memory");
        return SKIPPED;
    }
    unsigned forks = FORKS * scale_from(argc, argv);
    size_t before = zmalloc_used_memory();
    fork_in_quiet();
    if (is_emulated()) {
        puts("skipped but for forks in quiet: under emulation no child of many threads may have threads");
        return SKIPPED;
    }

    pthread_t reader = start(read_until_stopped, NULL);
    pthread_t churners[CHURNERS];
    for (size_t i = 0; i < CHURNERS; i++) {
        churners[i] = start(churn_until_stopped, (void *) (uintptr_t) i);
    }
    for (unsigned i = 0; i < forks; i++) {
        if (i % 2 == 0) {
            fork_from_thread(NULL);
        } else {
            join(start(fork_from_thread, NULL));
        }
    }
    for (unsigned i = 0; i < forks; i += FORKS / FORKS_IN_HANDLER) {
        fork_amid_a_reading();
    }
    atomic_store(&stop, true);
    join(reader);
    for (size_t i = 0; i < CHURNERS; i++) {
        join(churners[i]);
    }
    fork_in_quiet();
    check_used(before);
    return 0;
}
