/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Readers, one on a thread and one in a signal handler, while blocks pass from thread to thread and threads come
 * and go. No reading is below what is surely live, nor above what was ever live by more than was freed meanwhile.
 */
#include "threads.h"

#include <signal.h>
#include <sys/time.h>
#include <time.h>

enum { MAKERS = 5, FREERS = 5, RING = 64, SECONDS = 2, SIGNAL_EVERY_US = 700 };

/* A block that lives all the time, larger than all that comes and goes. */
enum { FLOOR = 64 << 20, LARGEST = 40000 };

static atomic_bool stop;
static size_t lowest_true;

/* Bytes on their way at a time, at most: in the rings, and in the hands of each thread before and after. */
static size_t highest_true;

/* All that others freed so far: counted before it is freed, so that it is never less than the library has seen. */
static atomic_size_t freed;

static atomic_size_t readings;

static bool plausible(size_t freed_before, size_t used)
{
    size_t freed_meanwhile = atomic_load(&freed) - freed_before;
    return used >= lowest_true && used <= highest_true + freed_meanwhile;
}

static void read_once(void)
{
    size_t freed_before = atomic_load(&freed);
    size_t used = zmalloc_used_memory();
    if (!plausible(freed_before, used)) {
        static const char text[] = "a reading below what is live, or far above\n";
        (void) !write(STDERR_FILENO, text, sizeof(text) - 1);
        _exit(1);
    }
    atomic_fetch_add_explicit(&readings, 1, memory_order_relaxed);
}

static void read_in_handler(int signal)
{
    (void) signal;
    read_once();
}

static void *read_all_the_time(void *argument)
{
    while (!atomic_load(&stop)) {
        read_once();
    }
    return argument;
}

static _Atomic(void *) ring[RING];

static void free_and_tell(void *block)
{
    atomic_fetch_add(&freed, zmalloc_size(block));
    zfree(block);
}

static void *make_blocks(void *argument)
{
    struct random random = seeded((uintptr_t) argument);
    while (!atomic_load(&stop)) {
        void *block = zmalloc(below(&random, LARGEST));
        free_and_tell(atomic_exchange(&ring[below(&random, RING)], block));
    }
    return NULL;
}

static void *free_blocks(void *argument)
{
    struct random random = seeded((uintptr_t) argument + MAKERS);
    while (!atomic_load(&stop)) {
        free_and_tell(atomic_exchange(&ring[below(&random, RING)], NULL));
    }
    return NULL;
}

static void *live_shortly(void *argument)
{
    struct random random = seeded((uintptr_t) argument);
    for (int i = 0; i < 5; i++) {
        free_and_tell(zmalloc(below(&random, LARGEST)));
    }
    return NULL;
}

/* One short thread after the other, so that slots change hands under the readers. */
static void *start_threads(void *argument)
{
    for (uintptr_t i = 0; !atomic_load(&stop); i++) {
        join(start(live_shortly, (void *) i));
    }
    return argument;
}

static void start_signals(void)
{
    struct sigaction action = {.sa_handler = read_in_handler, .sa_flags = SA_RESTART};
    check(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval often = {.it_interval.tv_usec = SIGNAL_EVERY_US, .it_value.tv_usec = SIGNAL_EVERY_US};
    check(setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static void end_signals(void)
{
    struct itimerval never = {0};
    check(setitimer(ITIMER_REAL, &never, NULL) == 0);
}

/* Signals interrupt sleep; what is left of it is slept on. */
static void sleep_through(unsigned seconds)
{
    struct timespec left = {.tv_sec = (time_t) seconds};
    while (nanosleep(&left, &left) != 0) {
    }
}

int main(int argc, char **argv)
{
    unsigned seconds = SECONDS * scale_from(argc, argv);
    size_t before = zmalloc_used_memory();
    void *floor = zmalloc(FLOOR);
    lowest_true = before + zmalloc_size(floor);
    highest_true = lowest_true + (size_t) (RING + 2 * (MAKERS + FREERS + 1)) * 2 * LARGEST;

    pthread_t threads[MAKERS + FREERS + 2];
    size_t count = 0;
    for (uintptr_t i = 0; i < MAKERS; i++) {
        threads[count++] = start(make_blocks, (void *) i);
    }
    for (uintptr_t i = 0; i < FREERS; i++) {
        threads[count++] = start(free_blocks, (void *) i);
    }
    threads[count++] = start(start_threads, NULL);
    threads[count++] = start(read_all_the_time, NULL);
    start_signals();
    sleep_through(seconds);
    end_signals();
    atomic_store(&stop, true);
    for (size_t i = 0; i < count; i++) {
        join(threads[i]);
    }
    for (size_t i = 0; i < RING; i++) {
        zfree(ring[i]);
    }
    printf("%zu readings\n", atomic_load(&readings));
    check_used(lowest_true);
    zfree(floor);
    check_used(before);
    return 0;
}
