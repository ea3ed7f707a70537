/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes whose memory runs out, by RLIMIT_AS and by RLIMIT_DATA of 60 to 600 MiB, while threads are at work and
 * new ones begin: every failure is told as it should be, no block is harmed, and bytes in use are exact.
 */
#include "inbox.h"
#include "marks.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { LEAST_MIB = 60, MOST_MIB = 600, CHILDREN = 12, SECONDS_OF_A_CHILD = 300 };
enum { WORKERS = 8, NEWBORNS = 6, ROUNDS = 2, STEPS = 600, HELD = 4000, STACK = 128 << 10 };

/* Across all children. */
struct figures {
    atomic_size_t failures;
    atomic_size_t operations;
    atomic_size_t newborns;
    atomic_size_t unborn;
};

static struct figures *figures;

struct worker {
    struct random random;
    struct sums sums;
    size_t held;
    unsigned char *blocks[HELD];
};

static struct worker workers[WORKERS];
static struct worker newborns[NEWBORNS];
static struct inbox inboxes[WORKERS];
static _Alignas(4096) char stacks[WORKERS + NEWBORNS][STACK];
static pthread_barrier_t barrier;

/* What the handler was told in this thread. */
static _Thread_local struct {
    size_t calls;
    size_t size;
} told;

static void note(size_t size)
{
    told.calls++;
    told.size = size;
}

/* After a failure the handler was called once or not at all, and this thread's account is as it was. */
static void check_failure(const struct worker *worker, size_t size, bool calls_handler)
{
    check(told.calls == (calls_handler ? 1 : 0));
    check(!calls_handler || told.size == size);
    told.calls = 0;
    check(zmalloc_thread_allocated() == worker->sums.allocated);
    check(zmalloc_thread_freed() == worker->sums.freed);
    atomic_fetch_add(&figures->failures, 1);
}

static void hold(struct worker *worker, unsigned char *block)
{
    check(worker->held < HELD);
    worker->blocks[worker->held++] = block;
}

static bool keep(struct worker *worker, unsigned char *block, size_t size, size_t usable)
{
    check(told.calls == 0 && usable >= size && usable == zmalloc_usable_size(block));
    worker->sums.allocated += zmalloc_size(block);
    mark(block, usable, (unsigned char) below(&worker->random, 256));
    hold(worker, block);
    return true;
}

static bool make_aligned(struct worker *worker, size_t size)
{
    size_t usable = 1;
    size_t alignment = (size_t) 1 << below(&worker->random, 16);
    bool insists = below(&worker->random, 2) == 0;
    unsigned char *block = insists ? zaligned_alloc_usable(alignment, size, &usable)
                                   : ztryaligned_alloc_usable(alignment, size, &usable);
    if (block == NULL) {
        check(usable == 0);
        check_failure(worker, size, insists);
        return false;
    }
    check((uintptr_t) block % alignment == 0);
    return keep(worker, block, size, usable);
}

static bool make(struct worker *worker, size_t size)
{
    size_t kind = below(&worker->random, LENGTH(ways) + 1);
    if (kind == LENGTH(ways)) {
        return make_aligned(worker, size);
    }
    size_t usable = 1;
    unsigned char *block = ways[kind].get(size, &usable);
    if (block == NULL) {
        check(usable == 0);
        check_failure(worker, size, ways[kind].calls_handler);
        return false;
    }
    if (ways[kind].zeroed) {
        check_zero(block, size);
    }
    return keep(worker, block, size, usable);
}

static unsigned char *take_any(struct worker *worker)
{
    return take_any_of(&worker->random, worker->blocks, &worker->held);
}

static void release(struct worker *worker, unsigned char *block)
{
    size_t usable = zmalloc_usable_size(block);
    check_marks(block, usable, usable);
    worker->sums.freed += zmalloc_size(block);
    switch (below(&worker->random, 4)) {
    case 0:
        zfree_with_size(block, usable);
        break;
    case 1:
        zfree_no_tcache(block);
        break;
    case 2:
        check(zrealloc(block, 0) == NULL);
        break;
    default:
        zfree(block);
    }
}

static bool resize(struct worker *worker, size_t size)
{
    unsigned char *block = take_any(worker);
    size_t old = zmalloc_usable_size(block);
    size_t counted = zmalloc_size(block);
    size_t usable = 1;
    const struct resize *to = &resizes[below(&worker->random, LENGTH(resizes))];
    unsigned char *moved = to->to(block, size, &usable);
    if (moved == NULL) {
        check(usable == 0 && zmalloc_usable_size(block) == old);
        check_marks(block, old, old);
        check_failure(worker, size, to->calls_handler);
        hold(worker, block);
        return false;
    }
    check_marks(moved, old, old < size ? old : size);
    worker->sums.freed += counted;
    return keep(worker, moved, size, usable);
}

static void release_some(struct worker *worker, size_t remaining)
{
    while (worker->held > remaining) {
        release(worker, take_any(worker));
    }
}

static size_t random_size(struct random *random)
{
    size_t kind = below(random, 100);
    return 1 + below(random, kind < 40 ? 500 : kind < 70 ? 20000 : kind < 95 ? 1 << 20 : 16 << 20);
}

/* Whoever fails lets go of half of what he has. */
static void step(struct worker *worker)
{
    size_t kind = below(&worker->random, 100);
    bool served = true;
    if (kind < 60 || worker->held == 0) {
        served = make(worker, random_size(&worker->random));
    } else if (kind < 80) {
        served = resize(worker, random_size(&worker->random));
    } else if (kind < 85) {
        release(worker, take_any(worker));
    } else if (kind < 92) {
        unsigned char *block = take_any(worker);
        if (!inbox_put(&inboxes[below(&worker->random, WORKERS)], block)) {
            release(worker, block);
        }
    } else {
        unsigned char *block = inbox_take(&inboxes[below(&worker->random, WORKERS)]);
        if (block != NULL) {
            release(worker, block);
        }
    }
    if (!served || worker->held > HELD / 2) {
        release_some(worker, worker->held / 2);
    }
    atomic_fetch_add_explicit(&figures->operations, 1, memory_order_relaxed);
}

/* Until there is no place for the smallest block either. */
static void exhaust(struct worker *worker)
{
    for (size_t size = 8 << 20; size >= 32; size /= 2) {
        while (worker->held < HELD - 1 && make(worker, size)) {
        }
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < STEPS; i++) {
            step(worker);
        }
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        exhaust(worker);
        pthread_barrier_wait(&barrier);
        /* Now others are born. */
        pthread_barrier_wait(&barrier);
        release_some(worker, worker->held / 4);
    }
    release_some(worker, 0);
    return NULL;
}

/* A thread whose first call of all may be any; it was given a block, if there was one. */
static void *be_born(void *argument)
{
    struct worker *worker = argument;
    switch (below(&worker->random, 5)) {
    case 0:
        release_some(worker, 0);
        break;
    case 1:
        if (worker->held > 0) {
            resize(worker, 5000);
        }
        break;
    case 2:
        check(zmalloc_thread_allocated() == 0);
        break;
    default:
        make(worker, (size_t) 1 << below(&worker->random, 22));
    }
    for (int i = 0; i < STEPS / 4; i++) {
        step(worker);
    }
    release_some(worker, 0);
    return NULL;
}

/* What those had allocated and freed who are no more, and the main thread. */
static struct sums past;

static struct sums sums_now(void)
{
    struct sums all = past;
    for (size_t i = 0; i < WORKERS; i++) {
        all.allocated += workers[i].sums.allocated;
        all.freed += workers[i].sums.freed;
    }
    return all;
}

static struct sums at_start;

static void compare(void)
{
    struct sums all = sums_now();
    check(zmalloc_total_allocated() - at_start.allocated == all.allocated);
    check(zmalloc_total_freed() - at_start.freed == all.freed);
    check_used(at_start.allocated - at_start.freed + all.allocated - all.freed);
}

/* On a stack that is there already. False: the system itself has no memory left for a thread. */
static bool start_on(char *stack, void *(*run)(void *), void *argument, pthread_t *thread)
{
    pthread_attr_t attributes;
    check(pthread_attr_init(&attributes) == 0 && pthread_attr_setstack(&attributes, stack, STACK) == 0);
    int error = pthread_create(thread, &attributes, run, argument);
    check(error == 0 || error == EAGAIN || error == ENOMEM);
    check(pthread_attr_destroy(&attributes) == 0);
    return error == 0;
}

static void *gifts[NEWBORNS];

static void bear(struct random *random)
{
    pthread_t threads[NEWBORNS];
    bool born[NEWBORNS];
    for (size_t i = 0; i < NEWBORNS; i++) {
        newborns[i] = (struct worker){.random = {.state = random->state + i + 1}};
        below(&newborns[i].random, 1);
        if (gifts[i] != NULL) {
            hold(&newborns[i], gifts[i]);
        }
        born[i] = start_on(stacks[WORKERS + i], be_born, &newborns[i], &threads[i]);
        if (born[i]) {
            gifts[i] = NULL;
        }
    }
    for (size_t i = 0; i < NEWBORNS; i++) {
        if (born[i]) {
            join(threads[i]);
            past.allocated += newborns[i].sums.allocated;
            past.freed += newborns[i].sums.freed;
        }
        atomic_fetch_add(born[i] ? &figures->newborns : &figures->unborn, 1);
    }
    below(random, 1);
}

static void make_gifts(void)
{
    for (size_t i = 0; i < NEWBORNS; i++) {
        if (gifts[i] == NULL) {
            size_t usable;
            gifts[i] = ztrymalloc_usable(300, &usable);
            if (gifts[i] == NULL) {
                return; /* the others have left nothing */
            }
            past.allocated += zmalloc_size(gifts[i]);
            mark(gifts[i], usable, (unsigned char) i);
        }
    }
}

static void free_gift(void *gift)
{
    past.freed += zmalloc_size(gift);
    zfree(gift);
}

static void live_a_round(struct random *random)
{
    pthread_barrier_wait(&barrier);
    compare();
    make_gifts();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    compare();
    bear(random);
    compare();
    pthread_barrier_wait(&barrier);
}

/* mimalloc begins a thread with 32 MiB, aligned so; glibc keeps what was freed for the arenas of other threads. */
static bool may_want_more_than_is_left(void)
{
    return strncmp(ZMALLOC_LIB, "mimalloc", strlen("mimalloc")) == 0 ||
           strncmp(ZMALLOC_LIB, "libc", strlen("libc")) == 0;
}

/* The last thread of a process that had no memory and has it again, but under the least limits. */
static void *use_freely(void *argument)
{
    enum { SIZE = 64 << 10 };
    unsigned char *block = zcalloc(SIZE);
    if (block == NULL && may_want_more_than_is_left()) {
        check(told.calls == 1 && told.size == SIZE);
        return NULL;
    }
    check(block != NULL && told.calls == 0);
    check_zero(block, SIZE);
    check_used(*(size_t *) argument + zmalloc_size(block));
    zfree(block);
    return NULL;
}

/* What is mapped already, where that alone would pass the limit: mimalloc 3 maps 1 GiB for its first block. */
static size_t mapped_above(size_t bytes)
{
    size_t mapped;
    zfree(zmalloc(1));
    check(zmalloc_smap_bytes_by_field("Size", -1, &mapped) == 0);
    return mapped > bytes ? mapped : 0;
}

static void live(bool of_data, size_t bytes, size_t number)
{
    bytes += mapped_above(bytes);
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};
    pthread_t threads[WORKERS];
    pthread_t last;
    struct random random = seeded(number);
    zmalloc_set_oom_handler(note);
    at_start = (struct sums){.allocated = zmalloc_total_allocated(), .freed = zmalloc_total_freed()};
    size_t used = zmalloc_used_memory();
    check(pthread_barrier_init(&barrier, NULL, WORKERS + 1) == 0);
    check(of_data ? setrlimit(RLIMIT_DATA, &limit) == 0 : setrlimit(RLIMIT_AS, &limit) == 0);
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i].random = seeded(number * WORKERS + i);
        check(pthread_mutex_init(&inboxes[i].mutex, NULL) == 0);
        check(start_on(stacks[i], work, &workers[i], &threads[i]));
    }
    for (int round = 0; round < ROUNDS; round++) {
        live_a_round(&random);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        join(threads[i]);
    }
    compare();
    for (size_t i = 0; i < WORKERS; i++) {
        for (void *block = inbox_take(&inboxes[i]); block != NULL; block = inbox_take(&inboxes[i])) {
            free_gift(block);
        }
    }
    for (size_t i = 0; i < NEWBORNS; i++) {
        if (gifts[i] != NULL) {
            free_gift(gifts[i]);
        }
    }
    compare();
    check_used(used);
    check(start_on(stacks[0], use_freely, &used, &last));
    join(last);
    check_used(used);
}

static bool lives(bool of_data, size_t mib, size_t number)
{
    fflush(NULL);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(SECONDS_OF_A_CHILD);
        live(of_data, mib << 20, number);
        _exit(0);
    }
    int status;
    check(waitpid(child, &status, 0) == child);
    if (status != 0) {
        fprintf(stderr, "%s of %zu MiB, number %zu: ended with status %#x\n", of_data ? "RLIMIT_DATA" : "RLIMIT_AS",
                mib, number, (unsigned) status);
    }
    return status == 0;
}

int main(int argc, char **argv)
{
    if (ADDRESS_SANITIZER || THREAD_SANITIZER) {
        puts("A sanitizer's own memory would pass any limit");
        return SKIPPED;
    }
    if (is_emulated()) {
        puts("qemu does not set such limits, which would be its own as well");
        return SKIPPED;
    }
    size_t children = CHILDREN * (size_t) scale_from(argc, argv);
    size_t dead = 0;
    figures = mmap(NULL, sizeof(*figures), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(figures != MAP_FAILED);
    for (size_t i = 0; i < children; i++) {
        size_t mib = LEAST_MIB + (MOST_MIB - LEAST_MIB) * (i / 2) / ((children + 1) / 2 - 1);
        dead += !lives(i % 2 == 1, mib, i);
    }
    printf("figure: %zu processes under a limit\n", children);
    printf("figure: %zu failures for want of memory survived\n", atomic_load(&figures->failures));
    printf("figure: %zu threads begun without memory\n", atomic_load(&figures->newborns));
    printf("%zu steps, %zu threads that the system refused, %zu processes dead\n", atomic_load(&figures->operations),
           atomic_load(&figures->unborn), dead);
    return dead == 0 ? 0 : 1;
}
