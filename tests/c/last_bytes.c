/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For 32 bits, linked statically: a process whose blocks take all addresses but the last few MiB. Used memory is
 * exact there, and a limit is kept. jemalloc keeps some for itself: with it they take all but the last 6 MiB.
 */
#include "zmalloc.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { MOST_BLOCKS = 60000 };

static void *blocks[MOST_BLOCKS];
static size_t count;
static size_t held;
static bool right = true;

static void check_at(int line, bool holds, const char *condition)
{
    if (!holds && right) {
        right = false;
        fprintf(stderr, "line %d: not so with %zu bytes held, %zu in use: %s\n", line, held, zmalloc_used_memory(),
                condition);
    }
}

#define check(condition) check_at(__LINE__, (condition), #condition)

static void fill(void)
{
    static const size_t sizes[] = {64 << 20, 16 << 20, 1 << 20, 128 << 10, 16 << 10, 1 << 10, 100};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        while (count < MOST_BLOCKS && (blocks[count] = ztrymalloc(sizes[i])) != NULL) {
            held += zmalloc_size(blocks[count++]);
            check(zmalloc_used_memory() == held);
        }
    }
}

int main(void)
{
    mallopt(M_PERTURB, 0);                   /* nothing is to be written to */
    check(zmalloc_set_limit(SIZE_MAX) == 0); /* prepared while there is memory */
    fill();
    size_t most = held;
    check(zmalloc_peak_memory() == most);
    for (int i = 0; i < 3; i++) {
        held -= zmalloc_size(blocks[--count]);
        zfree(blocks[count]);
    }
    check(zmalloc_used_memory() == held);
    /* There is room for these, but for the limit. */
    check(zmalloc_set_limit(held) == 0);
    check(ztrymalloc(1) == NULL && ztryrealloc(blocks[0], (64 << 20) + 100000) == NULL);
    check(zmalloc_used_memory() == held);
    check(zmalloc_set_limit(0) == 0);
    while (count > 0) {
        held -= zmalloc_size(blocks[--count]);
        zfree(blocks[count]);
        check(zmalloc_used_memory() == held);
    }
    fprintf(stderr, "%zu bytes were held, %zu less than there are\n", most, SIZE_MAX - most);
    return right ? 0 : 1;
}
