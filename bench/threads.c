/* SPDX-License-Identifier: BSD-3-Clause */
/* Many threads at once. Usage: threads private|exchange THREADS OPERATIONS; prints millions of pairs a second. */
#include "contender.h"
#include "workload.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { HELD = 1024, QUEUE = 4096, BATCH = 64 };

static long operations;
static pthread_barrier_t start_line;

/* By each thread itself: who only starts and joins them may get the processor back when they are nearly done. */
struct worker {
    pthread_t thread;
    void *(*work)(void *argument);
    void *argument;
    double begin;
    double end;
};

static void *run(void *argument)
{
    struct worker *worker = argument;
    pthread_barrier_wait(&start_line);
    worker->begin = seconds();
    worker->work(worker->argument);
    worker->end = seconds();
    return NULL;
}

/* From the first thread's begin to the last one's end. */
static double duration(const struct worker *workers, size_t count)
{
    double begin = workers[0].begin;
    double end = workers[0].end;
    for (size_t i = 1; i < count; i++) {
        begin = workers[i].begin < begin ? workers[i].begin : begin;
        end = workers[i].end > end ? workers[i].end : end;
    }
    return end - begin;
}

/* Each thread makes and frees its own blocks. */
static void *private_blocks(void *argument)
{
    void *held[HELD] = {0};
    uint32_t state = (uint32_t) (uintptr_t) argument;
    for (long i = 0; i < operations; i++) {
        size_t place = next_random(&state) % HELD;
        contender_free(held[place]);
        held[place] = contender_malloc(mixed_size(&state));
        *(volatile char *) held[place] = 1;
    }
    for (size_t place = 0; place < HELD; place++) {
        contender_free(held[place]);
    }
    return NULL;
}

/* A queue between two threads: one makes blocks, the other frees them. They hear of each other once a batch, or the
 * queue's own cache lines would be most of what is measured. */
struct queue {
    _Alignas(128) _Atomic long put;
    _Alignas(128) _Atomic long got;
    void *blocks[QUEUE];
};

static void *producer(void *argument)
{
    struct queue *queue = argument;
    uint32_t state = (uint32_t) (uintptr_t) argument | 1;
    for (long i = 0; i < operations; i++) {
        while (i - atomic_load_explicit(&queue->got, memory_order_acquire) >= QUEUE) {
            sched_yield();
        }
        void *ptr = contender_malloc(mixed_size(&state));
        *(volatile char *) ptr = 1;
        queue->blocks[i % QUEUE] = ptr;
        if ((i + 1) % BATCH == 0 || i + 1 == operations) {
            atomic_store_explicit(&queue->put, i + 1, memory_order_release);
        }
    }
    return NULL;
}

static void *consumer(void *argument)
{
    struct queue *queue = argument;
    for (long i = 0; i < operations; i++) {
        while (atomic_load_explicit(&queue->put, memory_order_acquire) <= i) {
            sched_yield();
        }
        contender_free(queue->blocks[i % QUEUE]);
        if ((i + 1) % BATCH == 0) {
            atomic_store_explicit(&queue->got, i + 1, memory_order_release);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    bool exchange = argc == 4 && strcmp(argv[1], "exchange") == 0;
    if (argc != 4 || (!exchange && strcmp(argv[1], "private") != 0)) {
        fprintf(stderr, "usage: threads private|exchange THREADS OPERATIONS\n");
        return 2;
    }
    size_t count = (size_t) number(argv[2], "THREADS");
    operations = number(argv[3], "OPERATIONS");

    size_t threads = exchange ? 2 * count : count;
    struct worker *workers = calloc(threads, sizeof(*workers));
    struct queue *queues = aligned_alloc(128, count * sizeof(*queues));
    memset(queues, 0, count * sizeof(*queues));
    for (size_t i = 0; i < count; i++) {
        if (exchange) {
            workers[2 * i] = (struct worker){.work = producer, .argument = &queues[i]};
            workers[2 * i + 1] = (struct worker){.work = consumer, .argument = &queues[i]};
        } else {
            workers[i] = (struct worker){.work = private_blocks, .argument = (void *) (i + 1)};
        }
    }
    pthread_barrier_init(&start_line, NULL, (unsigned) threads);
    for (size_t i = 0; i < threads; i++) {
        pthread_create(&workers[i].thread, NULL, run, &workers[i]);
    }
    for (size_t i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    printf("%.3f\n", (double) operations * (double) count / duration(workers, threads) / 1e6);
    return 0;
}
