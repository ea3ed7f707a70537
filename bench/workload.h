/* SPDX-License-Identifier: BSD-3-Clause */
/* What the benchmark programs share: sizes like a cache server's, random numbers, a clock, arguments. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* 70 % up to 128 bytes, 25 % up to 1 KiB, the rest up to 8 KiB. */
static inline size_t mixed_size(uint32_t *state)
{
    uint32_t kind = next_random(state) % 100;
    uint32_t random = next_random(state);
    if (kind < 70) {
        return 1 + random % 128;
    }
    return kind < 95 ? 129 + random % (1024 - 128) : 1025 + random % (8192 - 1024);
}

static inline double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static inline long number(const char *text, const char *what)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end != '\0' || value < 1) {
        fprintf(stderr, "%s must be a number above 0, not \"%s\"\n", what, text);
        exit(2);
    }
    return value;
}

#endif
