/* SPDX-License-Identifier: BSD-3-Clause */
/* What starting and ending a thread costs that makes one block. Usage: starts THREADS; prints microseconds each. */
#include "contender.h"
#include "workload.h"

#include <pthread.h>

static void *one_block(void *argument)
{
    (void) argument;
    void *ptr = contender_malloc(100);
    *(volatile char *) ptr = 1;
    contender_free(ptr);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: starts THREADS\n");
        return 2;
    }
    long threads = number(argv[1], "THREADS");
    double start = seconds();
    for (long i = 0; i < threads; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, one_block, NULL);
        pthread_join(thread, NULL);
    }
    printf("%.3f\n", (seconds() - start) / (double) threads * 1e6);
    return 0;
}
