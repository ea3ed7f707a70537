/* SPDX-License-Identifier: BSD-3-Clause */
/* What the thread tests share: checks that end the program, threads, and random numbers. */
#ifndef THREADS_H
#define THREADS_H

#include "emulation.h"
#include "sanitizers.h"
#include "ways.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* To Meson. */
enum { SKIPPED = 77 };

#define check(condition) check_at(__FILE__, __LINE__, (condition), #condition)
#define check_used(expected) check_used_at(__FILE__, __LINE__, zmalloc_used_memory(), (expected))

static inline void check_at(const char *file, int line, bool holds, const char *condition)
{
    if (!holds) {
        fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
        _exit(1);
    }
}

static inline void check_used_at(const char *file, int line, size_t used, size_t expected)
{
    if (used != expected) {
        fprintf(stderr, "%s:%d: %zu bytes in use, should be %zu: %+lld\n", file, line, used, expected,
                (long long) (used - expected));
        _exit(1);
    }
}

/* How much longer than a few seconds the program is to run: its only argument. */
static inline unsigned scale_from(int argc, char **argv)
{
    unsigned scale = argc > 1 ? (unsigned) strtoul(argv[1], NULL, 10) : 1;
    return scale > 0 ? scale : 1;
}

static inline pthread_t start_with(const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    pthread_t thread;
    check(pthread_create(&thread, attributes, run, argument) == 0);
    return thread;
}

static inline pthread_t start(void *(*run)(void *), void *argument)
{
    return start_with(NULL, run, argument);
}

static inline void join(pthread_t thread)
{
    check(pthread_join(thread, NULL) == 0);
}

struct random {
    uint64_t state;
};

static inline struct random seeded(uint64_t number)
{
    return (struct random){.state = (number + 1) * UINT64_C(0x9e3779b97f4a7c15)};
}

static inline size_t below(struct random *random, size_t limit)
{
    random->state ^= random->state << 13;
    random->state ^= random->state >> 7;
    random->state ^= random->state << 17;
    return (size_t) (random->state >> 16) % limit;
}

/* What a program reckons; the library is asked for each block's size and for nothing else. */
struct sums {
    size_t allocated;
    size_t freed;
};

/* Takes one of the blocks out; the last of them takes its place. */
static inline unsigned char *take_any_of(struct random *random, unsigned char **blocks, size_t *count)
{
    size_t i = below(random, *count);
    unsigned char *block = blocks[i];
    blocks[i] = blocks[--*count];
    return block;
}

/* Calls of several kinds that leave nothing behind. */
static inline void churn(struct random *random, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        void *a = zmalloc(below(random, 3000));
        void *b = zcalloc(below(random, 300));
        a = zrealloc(a, below(random, 20000) + 1);
        zfree(b);
        b = zmalloc_no_tcache(below(random, 500));
        zfree(a);
        zfree_no_tcache(b);
    }
}

#endif
