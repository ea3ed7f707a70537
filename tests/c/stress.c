/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every call from many threads, living and short ones, that free each other's blocks, against sums kept beside the
 * library's: whenever all pause, they are equal to the byte. The argument is how many seconds that goes on.
 */
#include "inbox.h"
#include "threads.h"

#include <time.h>

enum { LASTING = 16, SHORT = 6, WORKERS = LASTING + SHORT, HELD = 150, STEPS = 3000, SECONDS = 10 };

static struct worker {
    struct random random;
    struct sums sums;
    struct inbox inbox;
    size_t held;
    unsigned char *blocks[HELD];
    bool lasting;
} workers[WORKERS];

static pthread_barrier_t barrier;
static atomic_bool stop;

/* The first and the last byte of a block say that nobody else wrote there. */
static void mark(unsigned char *block, size_t usable)
{
    block[usable - 1] = (unsigned char) usable;
    block[0] = (unsigned char) usable;
}

static size_t check_mark(const unsigned char *block)
{
    size_t usable = zmalloc_usable_size((void *) (uintptr_t) block);
    check(block[0] == (unsigned char) usable && block[usable - 1] == (unsigned char) usable);
    return usable;
}

static size_t random_size(struct random *random)
{
    size_t kind = below(random, 1000);
    return 1 + below(random, kind < 600 ? 200 : kind < 950 ? 5000 : kind < 998 ? 100000 : 3000000);
}

static void *make_any(struct random *random, size_t *usable)
{
    size_t kind = below(random, LENGTH(ways) + 4);
    if (kind < LENGTH(ways)) {
        return ways[kind].get(random_size(random), usable);
    }
    if (kind == LENGTH(ways)) {
        char text[200];
        size_t length = below(random, sizeof(text));
        memset(text, 't', length);
        text[length] = '\0';
        char *copy = zstrdup(text);
        *usable = zmalloc_usable_size(copy);
        return copy;
    }
    return zaligned_alloc_usable((size_t) 1 << below(random, 15), random_size(random), usable);
}

static void make(struct worker *worker)
{
    if (worker->held == HELD) {
        return;
    }
    size_t usable = 0;
    unsigned char *block = make_any(&worker->random, &usable);
    check(block != NULL && usable == zmalloc_usable_size(block));
    worker->sums.allocated += zmalloc_size(block);
    mark(block, usable);
    worker->blocks[worker->held++] = block;
}

static unsigned char *take_any(struct worker *worker)
{
    return take_any_of(&worker->random, worker->blocks, &worker->held);
}

static void release(struct worker *worker, unsigned char *block)
{
    size_t usable = check_mark(block);
    size_t told = usable;
    worker->sums.freed += zmalloc_size(block);
    switch (below(&worker->random, 6)) {
    case 0:
        zfree_with_size(block, usable);
        break;
    case 1:
        zfree_no_tcache(block);
        break;
    case 2:
        zfree_usable(block, &told);
        break;
    case 3:
        check(zrealloc(block, 0) == NULL);
        break;
    default:
        zfree(block);
    }
    check(told == usable);
}

static void resize(struct worker *worker)
{
    unsigned char *block = take_any(worker);
    check_mark(block);
    unsigned char first = block[0];
    size_t old = zmalloc_size(block);
    size_t usable = 0;
    size_t size = below(&worker->random, 20) == 0 ? SIZE_MAX / 4 * 3 : random_size(&worker->random);
    unsigned char *moved = size > PTRDIFF_MAX
                               ? ztryrealloc_usable(block, size, &usable)
                               : resizes[below(&worker->random, LENGTH(resizes))].to(block, size, &usable);
    if (moved == NULL) {
        check(size > PTRDIFF_MAX && usable == 0);
        check_mark(block);
        worker->blocks[worker->held++] = block;
        return;
    }
    check(moved[0] == first && usable == zmalloc_usable_size(moved));
    worker->sums.freed += old;
    worker->sums.allocated += zmalloc_size(moved);
    mark(moved, usable);
    worker->blocks[worker->held++] = moved;
}

/* To a worker that need not be there at the time. */
static void send(struct worker *worker)
{
    unsigned char *block = take_any(worker);
    if (!inbox_put(&workers[below(&worker->random, WORKERS)].inbox, block)) {
        release(worker, block);
    }
}

static void receive(struct worker *worker)
{
    unsigned char *block = inbox_take(&worker->inbox);
    if (block == NULL) {
        return;
    }
    if (worker->held == HELD || below(&worker->random, 2) == 0) {
        release(worker, block);
    } else {
        worker->blocks[worker->held++] = block;
    }
}

static void step(struct worker *worker)
{
    size_t kind = below(&worker->random, 100);
    if (kind < 35 || worker->held == 0) {
        make(worker);
    } else if (kind < 50) {
        release(worker, take_any(worker));
    } else if (kind < 70) {
        resize(worker);
    } else if (kind < 85) {
        send(worker);
    } else {
        receive(worker);
    }
}

static void work_a_round(struct worker *worker)
{
    struct sums before = worker->sums;
    size_t allocated = zmalloc_thread_allocated();
    size_t freed = zmalloc_thread_freed();
    for (size_t i = 0; i < STEPS; i++) {
        step(worker);
    }
    check(zmalloc_thread_allocated() - allocated == worker->sums.allocated - before.allocated);
    check(zmalloc_thread_freed() - freed == worker->sums.freed - before.freed);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    do {
        work_a_round(worker);
        pthread_barrier_wait(&barrier);
        /* Here the main thread compares. */
        pthread_barrier_wait(&barrier);
    } while (worker->lasting && !atomic_load(&stop));
    return NULL;
}

/* Totals only grow, and the peak is no less than what was seen before it. */
static void *read_all_the_time(void *argument)
{
    struct sums last = {0, 0};
    while (!atomic_load(&stop)) {
        struct sums now = {.freed = zmalloc_total_freed(), .allocated = zmalloc_total_allocated()};
        /* Where a size has 32 bits they wrap. */
        check(now.allocated - last.allocated <= PTRDIFF_MAX && now.freed - last.freed <= PTRDIFF_MAX);
        last = now;
        size_t used = zmalloc_used_memory();
        check(zmalloc_peak_memory() >= used);
        usleep(300);
    }
    return argument;
}

static struct sums sum_up(void)
{
    struct sums all = {0, 0};
    for (size_t i = 0; i < WORKERS; i++) {
        all.allocated += workers[i].sums.allocated;
        all.freed += workers[i].sums.freed;
    }
    return all;
}

static void compare(struct sums start)
{
    struct sums all = sum_up();
    check(zmalloc_total_allocated() - start.allocated == all.allocated);
    check(zmalloc_total_freed() - start.freed == all.freed);
    check_used(start.allocated - start.freed + all.allocated - all.freed);
}

static void free_all_of(struct worker *worker)
{
    while (worker->held > 0) {
        release(worker, take_any(worker));
    }
    for (unsigned char *block = inbox_take(&worker->inbox); block != NULL; block = inbox_take(&worker->inbox)) {
        release(worker, block);
    }
}

static time_t now(void)
{
    struct timespec time;
    check(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return time.tv_sec;
}

int main(int argc, char **argv)
{
    time_t end = now() + (argc > 1 ? atoi(argv[1]) : SECONDS);
    struct sums start_sums = {.allocated = zmalloc_total_allocated(), .freed = zmalloc_total_freed()};
    check(pthread_barrier_init(&barrier, NULL, WORKERS + 1) == 0);

    pthread_t threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i].random = seeded(i);
        workers[i].lasting = i < LASTING;
        check(pthread_mutex_init(&workers[i].inbox.mutex, NULL) == 0);
    }
    for (size_t i = 0; i < LASTING; i++) {
        threads[i] = start(work, &workers[i]);
    }
    pthread_t reader = start(read_all_the_time, NULL);

    size_t rounds = 0;
    while (!atomic_load(&stop)) {
        for (size_t i = LASTING; i < WORKERS; i++) {
            threads[i] = start(work, &workers[i]);
        }
        pthread_barrier_wait(&barrier);
        compare(start_sums);
        atomic_store(&stop, now() >= end);
        pthread_barrier_wait(&barrier);
        for (size_t i = LASTING; i < WORKERS; i++) {
            join(threads[i]);
        }
        rounds++;
    }
    for (size_t i = 0; i < LASTING; i++) {
        join(threads[i]);
    }
    join(reader);
    compare(start_sums);

    for (size_t i = 0; i < WORKERS; i++) {
        free_all_of(&workers[i]);
    }
    compare(start_sums);
    check_used(start_sums.allocated - start_sums.freed);
    printf("%zu rounds of %d steps on %d threads\n", rounds, STEPS, WORKERS);
    printf("figure: %zu operations held\n", rounds * STEPS * WORKERS);
    printf("figure: %zu bytes lost\n", zmalloc_used_memory() - (start_sums.allocated - start_sums.freed));
    return 0;
}
