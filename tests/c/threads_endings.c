/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Short threads by the thousand, of every way to end and on every kind of stack: what they counted stays counted.
 * And all the time threads and a signal handler read: who followed a thread beyond its end would crash.
 */
#include "threads.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

enum { TOGETHER = 24, BATCHES = SANITIZED ? 4 : 19, SIGNAL_EVERY_US = 1500, REST_US = 8000 };

enum ending { RETURNS, EXITS, IS_CANCELLED, IS_DETACHED, ENDINGS };

/* A large stack is unmapped as soon as its thread has ended; from a small one of ours we take the access rights. */
enum stack { DEFAULT, LARGE, OWN, STACKS };

enum { LARGE_STACK = 64 << 20, OWN_STACK = 1 << 20 };

/* A block that lives all the time, larger than all that comes and goes; and what a thread allocates at most. */
enum { FLOOR = 256 << 20, OF_A_THREAD = 400000 };

struct job {
    enum ending ending;
    struct random random;
    void *given; /* by the main thread, freed here */
    void *left;  /* made here, freed by the main thread */
    void *last;  /* freed in the end, by whatever means there are */
    atomic_bool waits;
    atomic_bool done;
};

static void wait_until(atomic_bool *flag)
{
    while (!atomic_load(flag)) {
        usleep(100);
    }
}

/* All threads of a batch end together, and while the reader is amid a reading. */
static atomic_size_t living;
static atomic_bool ends;

static void free_last(void *argument)
{
    struct job *job = argument;
    zfree(job->last);
    job->last = NULL;
    atomic_store(&job->done, true);
}

static void wait_to_be_cancelled(struct job *job)
{
    atomic_store(&job->waits, true);
    for (;;) {
        /* ThreadSanitizer no longer sees what follows what in a thread that is cancelled while it sleeps. */
        THREAD_SANITIZER ? pthread_testcancel() : (void) pause();
    }
}

static void *run(void *argument)
{
    struct job *job = argument;
    zfree(job->given);
    zfree(zmalloc(1)); /* from here on the thread is one that readers follow */
    atomic_fetch_add(&living, 1);
    wait_until(&ends);
    churn(&job->random, 5);
    job->left = zmalloc(below(&job->random, 3000));
    job->last = zmalloc(below(&job->random, 3000));

    pthread_cleanup_push(free_last, job);
    if (job->ending == EXITS) {
        pthread_exit(NULL);
    } else if (job->ending == IS_CANCELLED) {
        wait_to_be_cancelled(job);
    }
    pthread_cleanup_pop(1);
    return NULL;
}

static atomic_bool stop;
static size_t lowest_true;
static atomic_size_t started;

/* The totals that were seen by any reader: never will one see less. */
static atomic_size_t seen_allocated;
static atomic_size_t seen_freed;

static void raise_to(atomic_size_t *seen, size_t value)
{
    size_t old = atomic_load(seen);
    while (old < value && !atomic_compare_exchange_weak(seen, &old, value)) {
    }
}

static bool grows(atomic_size_t *seen, size_t (*total)(void))
{
    size_t before = atomic_load(seen);
    size_t now = total();
    raise_to(seen, now);
    return now >= before;
}

/* Of the threads there before, and of those that came meanwhile, all that they ever allocated. */
static bool plausible(size_t started_before, size_t used)
{
    size_t threads = TOGETHER + atomic_load(&started) - started_before;
    return used >= lowest_true && used <= lowest_true + threads * OF_A_THREAD;
}

static void fail_at_once(const char *text)
{
    (void) !write(STDERR_FILENO, text, strlen(text));
    _exit(1);
}

static void read_all(void)
{
    size_t started_before = atomic_load(&started);
    size_t used = zmalloc_used_memory();
    if (!plausible(started_before, used)) {
        fail_at_once("bytes in use are below what is live, or far above\n");
    }
    size_t peak = zmalloc_peak_memory();
    if (peak < used || peak < lowest_true) {
        fail_at_once("the peak is below what was read before\n");
    }
    if (!grows(&seen_allocated, zmalloc_total_allocated) || !grows(&seen_freed, zmalloc_total_freed)) {
        fail_at_once("a total became less\n");
    }
}

static void read_in_handler(int signal)
{
    (void) signal;
    read_all();
}

/* While a batch is at work it reads seldom: else threads would end as slowly as it gets the processor. */
static atomic_bool seldom;

static void *read_all_the_time(void *argument)
{
    while (!atomic_load(&stop)) {
        read_all();
        if (atomic_load(&seldom)) {
            usleep(20);
        }
    }
    return argument;
}

enum { READERS = 4 };

static pthread_t readers[READERS];
static atomic_int resting;

/* Stops a reader wherever it is, for longer than most threads take to end. */
static void rest(int signal)
{
    (void) signal;
    atomic_fetch_add(&resting, 1);
    usleep(REST_US);
}

static void make_readers_rest(void)
{
    atomic_store(&resting, 0);
    for (size_t i = 0; i < READERS; i++) {
        check(pthread_kill(readers[i], SIGUSR1) == 0);
    }
    while (atomic_load(&resting) < READERS) {
        sched_yield();
    }
}

/* The handler runs on whatever thread is at work, in the middle of its start and its end, too. */
static void set_signals(int every_us)
{
    struct sigaction action = {.sa_handler = read_in_handler, .sa_flags = SA_RESTART};
    check(sigaction(SIGPROF, &action, NULL) == 0);
    struct itimerval often = {.it_interval.tv_usec = every_us, .it_value.tv_usec = every_us};
    check(setitimer(ITIMER_PROF, &often, NULL) == 0);
}

static unsigned char *own_stacks;

static void allow_own_stacks(void)
{
    check(mprotect(own_stacks, TOGETHER * OWN_STACK, PROT_READ | PROT_WRITE) == 0);
}

static void forbid_own_stack(size_t i)
{
    check(mprotect(own_stacks + i * OWN_STACK, OWN_STACK, PROT_NONE) == 0);
}

static pthread_attr_t attributes_for(enum ending ending, enum stack stack, size_t i)
{
    pthread_attr_t attributes;
    check(pthread_attr_init(&attributes) == 0);
    if (stack == LARGE) {
        check(pthread_attr_setstacksize(&attributes, LARGE_STACK) == 0);
    } else if (stack == OWN) {
        check(pthread_attr_setstack(&attributes, own_stacks + i * OWN_STACK, OWN_STACK) == 0);
    }
    if (ending == IS_DETACHED) {
        check(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
    }
    return attributes;
}

static void run_batch(enum ending ending, enum stack stack, uint64_t seed)
{
    static struct job jobs[TOGETHER];
    pthread_t threads[TOGETHER];
    size_t before = zmalloc_used_memory();

    allow_own_stacks();
    atomic_store(&living, 0);
    atomic_store(&living, 0);
    atomic_store(&ends, false);
    atomic_store(&seldom, false);
    for (size_t i = 0; i < TOGETHER; i++) {
        atomic_fetch_add(&started, 1);
        jobs[i] = (struct job){.ending = ending, .random = seeded(seed + i), .given = zmalloc(i * 50)};
        pthread_attr_t attributes = attributes_for(ending, stack, i);
        threads[i] = start_with(&attributes, run, &jobs[i]);
        pthread_attr_destroy(&attributes);
    }
    while (atomic_load(&living) < TOGETHER) {
        usleep(100);
    }
    make_readers_rest();
    atomic_store(&ends, true);
    atomic_store(&seldom, true);
    size_t left = 0;
    for (size_t i = 0; i < TOGETHER; i++) {
        if (ending == IS_CANCELLED) {
            wait_until(&jobs[i].waits);
            check(pthread_cancel(threads[i]) == 0);
        }
        if (ending != IS_DETACHED) {
            join(threads[i]);
        }
        if (stack == OWN) {
            forbid_own_stack(i);
        }
        wait_until(&jobs[i].done);
        left += zmalloc_size(jobs[i].left);
    }
    check_used(before + left);
    for (size_t i = 0; i < TOGETHER; i++) {
        zfree(jobs[i].left);
    }
    check_used(before);
}

static void run_batches(unsigned batches)
{
    for (unsigned batch = 0; batch < batches; batch++) {
        for (int ending = 0; ending < ENDINGS; ending++) {
            for (int stack = 0; stack < STACKS; stack++) {
                /* Nobody can tell when the stack of a detached thread is free again. */
                if (ending != IS_DETACHED || stack != OWN) {
                    run_batch((enum ending) ending, (enum stack) stack, batch * 1000);
                }
            }
        }
    }
}

int main(int argc, char **argv)
{
    unsigned batches = fewer_if_emulated(BATCHES) * scale_from(argc, argv);
    own_stacks = mmap(NULL, TOGETHER * OWN_STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(own_stacks != MAP_FAILED);
    size_t before = zmalloc_used_memory();
    void *floor = zmalloc(FLOOR);
    lowest_true = zmalloc_used_memory();

    for (size_t i = 0; i < READERS; i++) {
        readers[i] = start(read_all_the_time, NULL);
    }
    set_signals(SIGNAL_EVERY_US);
    struct sigaction action = {.sa_handler = rest, .sa_flags = SA_RESTART};
    check(sigaction(SIGUSR1, &action, NULL) == 0);
    run_batches(batches);
    set_signals(0);
    atomic_store(&stop, true);
    for (size_t i = 0; i < READERS; i++) {
        join(readers[i]);
    }

    check_used(lowest_true);
    zfree(floor);
    check_used(before);
    return 0;
}
