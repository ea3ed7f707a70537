/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A report before anything was allocated, before the library's own constructor too: glibc's malloc has nothing in
 * use, and that is known. With another malloc in its place, or another mallinfo2, all is unknown, also when glibc's
 * own has blocks. The argument says what is expected of the first report and of a later one: "known" or "unknown".
 */
#include "zmalloc.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* What glibc calls its own where a program brings another. */
void *__libc_malloc(size_t size);

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 2;
    }
    bool is_known_first = strcmp(argv[1], "known") == 0;
    bool is_known_later = strcmp(argv[2], "known") == 0;
    /* By their addresses: a program that is not position-independent has stand-ins of its own for both. */
    void *(*volatile allocate)(size_t size) = malloc;
    struct mallinfo2 (*volatile ask)(void) = mallinfo2;
    void *block = allocate(100000);
    (void) ask();
    void *of_glibc = __libc_malloc(100000);
    struct zmalloc_report later = {.size = sizeof(later)};
    bool right = error == 0 && zmalloc_report(&later, 0) == 0 && block != NULL && of_glibc != NULL;
    right = right && is_known(&first) == is_known_first && is_known(&later) == is_known_later;
    right = right && (!is_known_first || first.allocated == 0) && (!is_known_later || later.allocated >= 200000);
    fprintf(stderr, "%zu allocated at first, %zu later\n", first.allocated, later.allocated);
    free(block);
    return right ? 0 : 1;
}
