/* SPDX-License-Identifier: BSD-3-Clause */
/* Many threads free and resize each other's blocks; whenever they pause, used memory is the sum of all blocks. */
#include "threads.h"

enum { WORKERS = 16, TABLE = 4096, STEPS = SANITIZED ? 4000 : 20000, ROUNDS = 5 };

static _Atomic(void *) table[TABLE];
static pthread_barrier_t barrier;
static unsigned rounds;

static size_t sum_of_table(void)
{
    size_t sum = 0;
    for (size_t i = 0; i < TABLE; i++) {
        sum += zmalloc_size(atomic_load(&table[i]));
    }
    return sum;
}

/* Takes whoever's block, makes another of it, and puts that in the place of a third, which is freed. */
static void exchange(struct random *random)
{
    size_t size = below(random, below(random, 100) == 0 ? 200000 : 2000);
    void *block = atomic_exchange(&table[below(random, TABLE)], NULL);
    if (below(random, 3) == 0) {
        block = zrealloc(block, size);
    } else {
        zfree(block);
        block = zcalloc(size);
    }
    zfree(atomic_exchange(&table[below(random, TABLE)], block));
}

static void *work(void *argument)
{
    struct random random = seeded((uintptr_t) argument);
    for (unsigned round = 0; round < rounds; round++) {
        for (size_t i = 0; i < STEPS; i++) {
            exchange(&random);
        }
        pthread_barrier_wait(&barrier);
        /* Here the main thread compares. */
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    rounds = ROUNDS * scale_from(argc, argv);
    size_t before = zmalloc_used_memory();
    check(pthread_barrier_init(&barrier, NULL, WORKERS + 1) == 0);

    pthread_t workers[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i] = start(work, (void *) (uintptr_t) i);
    }
    for (unsigned round = 0; round < rounds; round++) {
        pthread_barrier_wait(&barrier);
        check_used(before + sum_of_table());
        pthread_barrier_wait(&barrier);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        join(workers[i]);
    }
    check_used(before + sum_of_table());
    for (size_t i = 0; i < TABLE; i++) {
        zfree(table[i]);
    }
    check_used(before);
    return 0;
}
