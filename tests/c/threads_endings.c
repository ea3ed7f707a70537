/* SPDX-License-Identifier: BSD-3-Clause */
/* Short threads by the thousand, of every way to end and on every kind of stack: what they counted stays counted. */
#include "threads.h"

#include <sys/mman.h>

enum { TOGETHER = 24, BATCHES = 14 };

enum ending { RETURNS, EXITS, IS_CANCELLED, IS_DETACHED, ENDINGS };

/* A large stack is unmapped as soon as its thread has ended; a small one of ours is overwritten and used again. */
enum stack { DEFAULT, LARGE, OWN, STACKS };

enum { LARGE_STACK = 64 << 20, OWN_STACK = 64 << 10 };

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
        pause();
    }
}

static void *run(void *argument)
{
    struct job *job = argument;
    zfree(job->given);
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

static unsigned char *own_stacks;

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

    for (size_t i = 0; i < TOGETHER; i++) {
        jobs[i] = (struct job){.ending = ending, .random = seeded(seed + i), .given = zmalloc(i * 50)};
        pthread_attr_t attributes = attributes_for(ending, stack, i);
        threads[i] = start_with(&attributes, run, &jobs[i]);
        pthread_attr_destroy(&attributes);
    }
    size_t left = 0;
    for (size_t i = 0; i < TOGETHER; i++) {
        if (ending == IS_CANCELLED) {
            wait_until(&jobs[i].waits);
            check(pthread_cancel(threads[i]) == 0);
        }
        if (ending != IS_DETACHED) {
            join(threads[i]);
        }
        wait_until(&jobs[i].done);
        left += zmalloc_size(jobs[i].left);
    }
    if (stack == OWN) {
        memset(own_stacks, 0xee, TOGETHER * OWN_STACK);
    }
    check_used(before + left);
    for (size_t i = 0; i < TOGETHER; i++) {
        zfree(jobs[i].left);
    }
    check_used(before);
}

int main(int argc, char **argv)
{
    unsigned batches = BATCHES * scale_from(argc, argv);
    own_stacks = mmap(NULL, TOGETHER * OWN_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(own_stacks != MAP_FAILED);
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
    return 0;
}
