/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it costs to ask which blocks are worth moving. Usage: hint one|many ROUNDS; asks in each round about blocks of
 * a cache server of which three in four are gone, one by one or at once, and prints how many were asked about in all.
 */
#include "workload.h"

#include <zmalloc.h>

#include <string.h>

enum { MADE = 20000, KEPT = MADE / 4 };

/* The others go past the thread's cache: its places would count as taken. */
static void make_blocks(void **blocks)
{
    static void *made[MADE];
    uint32_t state = 1;
    for (size_t i = 0; i < MADE; i++) {
        made[i] = zmalloc(mixed_size(&state));
    }
    size_t left = MADE;
    for (size_t i = 0; i < KEPT; i++) {
        size_t chosen = next_random(&state) % left;
        blocks[i] = made[chosen];
        made[chosen] = made[--left];
    }
    for (size_t i = 0; i < left; i++) {
        zfree_no_tcache(made[i]);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3 || (strcmp(argv[1], "one") != 0 && strcmp(argv[1], "many") != 0)) {
        fprintf(stderr, "usage: hint one|many ROUNDS\n");
        return 2;
    }
    static void *blocks[KEPT];
    static int hints[KEPT];
    int error = 0;
    long rounds = number(argv[2], "ROUNDS");
    make_blocks(blocks);
    for (long round = 0; round < rounds && error == 0; round++) {
        if (strcmp(argv[1], "many") == 0) {
            error = zmalloc_defrag_hints(blocks, KEPT, hints);
            continue;
        }
        for (size_t i = 0; i < KEPT && error == 0; i++) {
            error = zmalloc_defrag_hint(blocks[i], &hints[i]);
        }
    }
    if (error != 0) {
        fprintf(stderr, "hint: %s\n", strerror(-error));
        return 1;
    }
    printf("%ld\n", rounds * KEPT);
    return 0;
}
