/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A report before anything was allocated, before the library's own constructor too: glibc's malloc has nothing in
 * use, and that is known. With a malloc of the program's own, glibc's figures say as little, and are unknown.
 */
#include "zmalloc.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef OWN_MALLOC
/* Blocks in a row, never used again, each behind its size. */
enum { ALIGNMENT = 16 };
static _Alignas(ALIGNMENT) char room[1 << 22];
static size_t taken;

void *malloc(size_t size)
{
    size_t whole = ALIGNMENT + (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size > sizeof(room) || whole > sizeof(room) - taken) {
        return NULL;
    }
    char *block = room + taken;
    memcpy(block, &size, sizeof(size));
    taken += whole;
    return block + ALIGNMENT;
}

void *calloc(size_t number, size_t size)
{
    return malloc(number * size); /* the room is zero */
}

void *realloc(void *old, size_t size)
{
    char *block = malloc(size);
    if (block != NULL && old != NULL) {
        size_t before;
        memcpy(&before, (char *) old - ALIGNMENT, sizeof(before));
        memcpy(block, old, before < size ? before : size);
    }
    return block;
}

void free(void *block)
{
    (void) block;
}
#endif

static struct zmalloc_report first = {.size = sizeof(first)};
static int error = 1;

/* A program's own, run before the constructors of all libraries. */
static void ask_first(void)
{
    error = zmalloc_report(&first, 0);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_all)(void) = ask_first;

static bool is_known(const struct zmalloc_report *report)
{
    bool known = report->allocated != ZMALLOC_UNKNOWN;
    bool all_alike = known == (report->active != ZMALLOC_UNKNOWN) && known == (report->mapped != ZMALLOC_UNKNOWN) &&
                     known == (report->allocator_frag_bytes != ZMALLOC_UNKNOWN_DIFFERENCE);
    return known && all_alike && report->active >= report->allocated;
}

int main(void)
{
#ifdef OWN_MALLOC
    bool expected = false;
#else
    bool expected = true;
#endif
    void *volatile block = malloc(100000);
    struct zmalloc_report later = {.size = sizeof(later)};
    bool right = error == 0 && zmalloc_report(&later, 0) == 0 && block != NULL;
    right = right && is_known(&first) == expected && is_known(&later) == expected;
    right = right && (!expected || (first.allocated == 0 && later.allocated >= 100000));
    fprintf(stderr, "%zu allocated at first, %zu later\n", first.allocated, later.allocated);
    free(block);
    return right ? 0 : 1;
}
