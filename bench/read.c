/* SPDX-License-Identifier: BSD-3-Clause */
/* What a reading costs. Usage: read THREADS idle|churn READINGS; prints nanoseconds per zmalloc_used_memory. */
#include "workload.h"

#include <zmalloc.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

static pthread_barrier_t all_there;
static atomic_bool churning;
static atomic_bool done;

static void *registered(void *argument)
{
    (void) argument;
    uint32_t state = 1;
    zfree(zmalloc(100));
    pthread_barrier_wait(&all_there);
    while (atomic_load(&churning) && !atomic_load(&done)) {
        zfree(zmalloc(mixed_size(&state)));
    }
    pthread_barrier_wait(&all_there);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 4 || (strcmp(argv[2], "idle") != 0 && strcmp(argv[2], "churn") != 0)) {
        fprintf(stderr, "usage: read THREADS idle|churn READINGS\n");
        return 2;
    }
    size_t threads = (size_t) number(argv[1], "THREADS") - 1;
    long readings = number(argv[3], "READINGS");
    atomic_store(&churning, strcmp(argv[2], "churn") == 0);

    zfree(zmalloc(100));
    pthread_barrier_init(&all_there, NULL, (unsigned) threads + 1);
    pthread_t *thread = calloc(threads + 1, sizeof(*thread));
    for (size_t i = 0; i < threads; i++) {
        pthread_create(&thread[i], NULL, registered, NULL);
    }
    pthread_barrier_wait(&all_there);

    size_t sum = 0;
    double start = seconds();
    for (long i = 0; i < readings; i++) {
        sum += zmalloc_used_memory();
    }
    double elapsed = seconds() - start;
    atomic_store(&done, true);
    pthread_barrier_wait(&all_there);
    for (size_t i = 0; i < threads; i++) {
        pthread_join(thread[i], NULL);
    }
    printf("%.3f\n", elapsed / (double) readings * 1e9);
    return sum == SIZE_MAX;
}
