/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that thin out their blocks and defragment them, each its own, and then the main thread those of all: what
 * is in the blocks stays the same, and used memory is their sum whenever all pause. Then once more within a limit.
 */
#include "patterns.h"
#include "threads.h"

#include <errno.h>

enum { WORKERS = 6, HELD = SANITIZED ? 2000 : 6000, ROUNDS = 4, GROUP = 4 };

static struct worker {
    struct random random;
    size_t moved;
    void *blocks[HELD];
} workers[WORKERS];

static pthread_barrier_t barrier;
static unsigned rounds;

/* Its size can be told by its place. */
static size_t size_of(size_t place)
{
    static const size_t sizes[] = {24, 60, 112, 400};
    return sizes[place / 16 % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void fill_gaps(struct worker *worker)
{
    for (size_t i = 0; i < HELD; i++) {
        if (worker->blocks[i] == NULL) {
            worker->blocks[i] = zmalloc(size_of(i));
            fill(worker->blocks[i], 0, size_of(i), (unsigned) i);
        }
    }
}

static void thin_out(struct worker *worker)
{
    for (size_t i = 0; i < HELD; i++) {
        if (below(&worker->random, GROUP) != 0) {
            zfree_no_tcache(worker->blocks[i]);
            worker->blocks[i] = NULL;
        }
    }
}

static void check_contents(const struct worker *worker)
{
    for (size_t i = 0; i < HELD; i++) {
        check(worker->blocks[i] == NULL || filled(worker->blocks[i], size_of(i), (unsigned) i));
    }
}

static size_t defrag(struct worker *worker, size_t max_us)
{
    size_t moved = 0;
    struct zmalloc_defrag step = {.size = sizeof(step)};
    while (step.position < HELD) {
        check(zmalloc_defrag(worker->blocks, HELD, step.position, max_us, &step) == 0);
        check(step.refused == 0);
        moved += step.moved;
    }
    return moved;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (unsigned round = 0; round < rounds; round++) {
        fill_gaps(worker);
        thin_out(worker);
        worker->moved += defrag(worker, round % 2 == 0 ? 20 : 0);
        check_contents(worker);
        fill_gaps(worker);
        thin_out(worker);
        pthread_barrier_wait(&barrier);
        /* Here the main thread compares, and moves the blocks of all. */
        pthread_barrier_wait(&barrier);
        check_contents(worker);
    }
    return NULL;
}

static size_t sum_of_blocks(void)
{
    size_t sum = 0;
    for (size_t i = 0; i < WORKERS; i++) {
        for (size_t j = 0; j < HELD; j++) {
            sum += zmalloc_size(workers[i].blocks[j]);
        }
    }
    return sum;
}

/* Returns how many blocks the main thread has moved. */
static size_t run(size_t before)
{
    size_t moved = 0;
    pthread_t threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        threads[i] = start(work, &workers[i]);
    }
    for (unsigned round = 0; round < rounds; round++) {
        pthread_barrier_wait(&barrier);
        check_used(before + sum_of_blocks());
        for (size_t i = 0; i < WORKERS; i++) {
            moved += defrag(&workers[i], 0);
        }
        check_used(before + sum_of_blocks());
        pthread_barrier_wait(&barrier);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        join(threads[i]);
        check(workers[i].moved > 0);
        for (size_t j = 0; j < HELD; j++) {
            zfree(workers[i].blocks[j]);
            workers[i].blocks[j] = NULL;
        }
    }
    check_used(before);
    return moved;
}

int main(int argc, char **argv)
{
    if (zmalloc_defrag_hints(NULL, 0, NULL) == -ENOTSUP) {
        printf("skipped: this allocator can't say what helps\n");
        return SKIPPED;
    }
    rounds = ROUNDS * scale_from(argc, argv);
    size_t before = zmalloc_used_memory();
    check(pthread_barrier_init(&barrier, NULL, WORKERS + 1) == 0);
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i].random = seeded(i);
    }
    check(run(before) > 0);
    for (size_t i = 0; i < WORKERS; i++) {
        fill_gaps(&workers[i]);
    }
    enum { LENT = 2 << 20 }; /* to threads that don't use it at the moment */
    zmalloc_set_limit(zmalloc_used_memory() + LENT);
    check(run(before) > 0);
    return 0;
}
