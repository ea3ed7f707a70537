/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that want more than the limit leaves them, by every call, and free each other's blocks: what they hold
 * never passes it, and whenever all pause it is what the account says. Then the limits change while they are at it.
 */
#include "no_barrier.h"
#include "threads.h"

#include <time.h>

enum { WORKERS = 16, HELD = 400, LIMIT = 6 << 20, ROUNDS = 10, STEPS = 1000, PLACES = 64 };

static struct worker {
    struct random random;
    size_t count;
    unsigned char *blocks[HELD];
} workers[WORKERS];

/* Blocks for whoever comes by to free. */
static _Atomic(unsigned char *) left_behind[PLACES];

static pthread_barrier_t barrier;

/* The sum of blocks that are surely there: counted once they are, and no more before they go. */
static _Atomic size_t held;
static _Atomic size_t most_held;
static _Atomic size_t served;
static _Atomic size_t refused;
static _Atomic size_t crossings;

/* Zero while the limit may change. */
static _Atomic size_t limit_in_force;

static void note(size_t size)
{
    (void) size;
}

static void count_crossing(size_t used, void *context)
{
    check(context == &crossings);
    check(used > 0);
    atomic_fetch_add(&crossings, 1);
    zfree(ztrymalloc(1000));
}

static void hold(size_t bytes)
{
    size_t sum = atomic_fetch_add(&held, bytes) + bytes;
    size_t limit = atomic_load(&limit_in_force);
    check(limit == 0 || sum <= limit);
    size_t most = atomic_load(&most_held);
    while (limit != 0 && most < sum && !atomic_compare_exchange_weak(&most_held, &most, sum)) {
    }
}

static void let_go(unsigned char *block)
{
    if (block != NULL) {
        size_t usable = zmalloc_usable_size(block);
        check(block[0] == (unsigned char) usable && block[usable - 1] == (unsigned char) usable);
        atomic_fetch_sub(&held, zmalloc_size(block));
    }
}

static void take(unsigned char *block)
{
    size_t usable = zmalloc_usable_size(block);
    block[0] = block[usable - 1] = (unsigned char) usable;
    hold(zmalloc_size(block));
    atomic_fetch_add(&served, 1);
}

static size_t random_size(struct random *random)
{
    size_t kind = below(random, 100);
    return 1 + below(random, kind < 60 ? 200 : kind < 90 ? 5000 : kind < 99 ? 60000 : 700000);
}

static void make(struct worker *worker)
{
    size_t usable;
    size_t kind = below(&worker->random, LENGTH(ways) + 1);
    size_t size = random_size(&worker->random);
    unsigned char *block = kind < LENGTH(ways) ? ways[kind].get(size, &usable)
                                               : ztryaligned_alloc((size_t) 16 << below(&worker->random, 10), size);
    if (block == NULL) {
        atomic_fetch_add(&refused, 1);
        return;
    }
    take(block);
    worker->blocks[worker->count++] = block;
}

static unsigned char *pick(struct worker *worker)
{
    return take_any_of(&worker->random, worker->blocks, &worker->count);
}

static void change(struct worker *worker)
{
    unsigned char *block = pick(worker);
    size_t old = zmalloc_size(block);
    let_go(block);
    unsigned char *changed = below(&worker->random, 2) == 0 ? ztryrealloc(block, random_size(&worker->random))
                                                            : zrealloc(block, random_size(&worker->random));
    if (changed == NULL) {
        atomic_fetch_add(&refused, 1);
        check(zmalloc_size(block) == old);
        changed = block;
    }
    take(changed);
    worker->blocks[worker->count++] = changed;
}

static void pass_on(struct worker *worker)
{
    unsigned char *block = pick(worker);
    unsigned char *other = atomic_exchange(&left_behind[below(&worker->random, PLACES)], block);
    let_go(other);
    zfree(other);
}

static void step(struct worker *worker)
{
    size_t kind = below(&worker->random, 10);
    if (worker->count == 0 || (kind < 6 && worker->count < HELD)) {
        make(worker);
    } else if (kind < 7) {
        change(worker);
    } else {
        pass_on(worker);
    }
}

static void drop_some(struct worker *worker, size_t keep)
{
    while (worker->count > keep) {
        unsigned char *block = pick(worker);
        let_go(block);
        zfree(block);
    }
}

/* A short one, for whom a limit holds from its first call to its last. */
static void *come_and_go(void *argument)
{
    struct worker *worker = argument;
    for (int i = 0; i < 50; i++) {
        step(worker);
    }
    return NULL;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < STEPS; i++) {
            step(worker);
        }
        join(start(come_and_go, worker));
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        drop_some(worker, HELD / 8);
    }
    drop_some(worker, 0);
    return NULL;
}

static void drop_left_behind(void)
{
    for (int i = 0; i < PLACES; i++) {
        unsigned char *block = atomic_exchange(&left_behind[i], NULL);
        let_go(block);
        zfree(block);
    }
}

static void run(size_t base, void (*meanwhile)(void))
{
    pthread_t threads[WORKERS];
    check(pthread_barrier_init(&barrier, NULL, WORKERS + 1) == 0);
    for (int i = 0; i < WORKERS; i++) {
        threads[i] = start(work, &workers[i]);
    }
    for (int round = 0; round < ROUNDS; round++) {
        if (meanwhile != NULL) {
            meanwhile();
        }
        pthread_barrier_wait(&barrier);
        check_used(base + atomic_load(&held));
        pthread_barrier_wait(&barrier);
    }
    for (int i = 0; i < WORKERS; i++) {
        join(threads[i]);
    }
    check(pthread_barrier_destroy(&barrier) == 0);
    drop_left_behind();
    check(atomic_load(&held) == 0);
    check_used(base);
}

/* Hard, soft and none, as threads allocate; and both kinds of handlers. */
static int retry_now_and_then(size_t size, void *context)
{
    (void) context;
    return size % 3 == 0;
}

static void change_limits(void)
{
    for (size_t i = 0; i < 200; i++) {
        check(zmalloc_set_limit(i % 3 == 0 ? 0 : LIMIT / (i % 5 + 1)) == 0);
        check(zmalloc_set_soft_limit(i % 4 == 0 ? 0 : LIMIT / (i % 7 + 2), 1000, count_crossing, &crossings) == 0);
        if (i % 2 == 0) {
            check(zmalloc_set_oom_retry_handler(retry_now_and_then, &workers[i % WORKERS]) == 0);
        } else {
            zmalloc_set_oom_handler(note);
        }
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

/* A second argument has the system refuse memory barriers: from the start, or while threads have credit. */
static void refuse(void)
{
    static bool done;
    if (!done && !refuse_barrier(BOTH)) {
        puts("skipped: a process can't filter its system calls");
        _exit(SKIPPED);
    }
    done = true;
}

int main(int argc, char **argv)
{
    unsigned scale = scale_from(argc, argv);
    const char *how = argc > 2 ? argv[2] : "";
    bool refused_later = strcmp(how, "refused_later") == 0;
    if (strcmp(how, "refused") == 0) {
        refuse();
    }
    size_t base = zmalloc_used_memory();
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].random = seeded(i);
    }
    for (unsigned i = 0; i < scale; i++) {
        zmalloc_set_oom_handler(note);
        check(zmalloc_set_limit(base + LIMIT) == 0);
        check(zmalloc_set_soft_limit(base + LIMIT / 2, LIMIT / 8, count_crossing, &crossings) == 0);
        atomic_store(&limit_in_force, LIMIT);
        run(base, refused_later ? refuse : NULL);
        atomic_store(&limit_in_force, 0);
        run(base, change_limits);
    }
    check(zmalloc_set_limit(0) == 0 && zmalloc_set_soft_limit(0, 0, NULL, NULL) == 0);
    void *more = zmalloc(4 * LIMIT);
    zfree(more);
    check_used(base);

    /* It was met, and made good use of. */
    check(atomic_load(&refused) > 1000 && atomic_load(&served) > 1000 && atomic_load(&crossings) > 0);
    check(atomic_load(&most_held) > LIMIT / 10 * 9);
    printf("%zu requests served, %zu refused; of a limit of %d bytes at most %zu held; %zu crossings of the soft "
           "limit\n",
           atomic_load(&served), atomic_load(&refused), LIMIT, atomic_load(&most_held), atomic_load(&crossings));
    return 0;
}
