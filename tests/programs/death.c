/* SPDX-License-Identifier: BSD-3-Clause */
/* One way to run out of memory for each argument; how the program ends is the test. */
#include "zmalloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not a constant to the compiler, which would warn. */
static volatile const size_t too_much = (size_t) PTRDIFF_MAX - 1000;

enum { SURVIVED = 0, DIED_IN_HANDLER = 42, UNKNOWN_WAY = 99 };

static void leave(size_t size)
{
    printf("handler %zu\n", size);
    fflush(stdout);
    _Exit(DIED_IN_HANDLER);
}

static void stay(size_t size)
{
    printf("handler %zu\n", size);
}

static void *last;

static void do_zmalloc(void)
{
    last = zmalloc(too_much);
}

static void do_zcalloc(void)
{
    last = zcalloc(too_much);
}

static void do_zcalloc_num(void)
{
    last = zcalloc_num(too_much, 24);
}

static void do_zmalloc_usable(void)
{
    last = zmalloc_usable(too_much, NULL);
}

static void do_zcalloc_usable(void)
{
    last = zcalloc_usable(too_much, NULL);
}

static void do_zmalloc_no_tcache(void)
{
    last = zmalloc_no_tcache(too_much);
}

static void do_zrealloc(void)
{
    last = zrealloc(zmalloc(10), too_much);
}

static void do_zrealloc_usable(void)
{
    last = zrealloc_usable(zmalloc(10), too_much, NULL);
}

static void do_ztry(void)
{
    void *block = zmalloc(10);
    void *results[] = {
        ztrymalloc(too_much),
        ztrycalloc(too_much),
        ztryrealloc(block, too_much),
        ztrymalloc_usable(too_much, NULL),
        ztrycalloc_usable(too_much, NULL),
        ztryrealloc_usable(block, too_much, NULL),
    };
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        last = results[i] != NULL ? results[i] : last;
    }
    zfree(block);
}

static void do_handler_that_leaves(void)
{
    zmalloc_set_oom_handler(leave);
    do_zmalloc();
}

static void do_handler_that_stays(void)
{
    zmalloc_set_oom_handler(stay);
    do_zmalloc();
    do_zcalloc();
}

static void do_handler_taken_back(void)
{
    zmalloc_set_oom_handler(leave);
    zmalloc_set_oom_handler(NULL);
    do_zmalloc();
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"zmalloc", do_zmalloc},
    {"zcalloc", do_zcalloc},
    {"zcalloc_num", do_zcalloc_num},
    {"zmalloc_usable", do_zmalloc_usable},
    {"zcalloc_usable", do_zcalloc_usable},
    {"zmalloc_no_tcache", do_zmalloc_no_tcache},
    {"zrealloc", do_zrealloc},
    {"zrealloc_usable", do_zrealloc_usable},
    {"ztry", do_ztry},
    {"handler_that_leaves", do_handler_that_leaves},
    {"handler_that_stays", do_handler_that_stays},
    {"handler_taken_back", do_handler_taken_back},
};

int main(int argc, char **argv)
{
    setvbuf(stderr, NULL, _IOFBF, BUFSIZ); /* as programs may; what is told must be seen all the same */
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (argc == 2 && strcmp(argv[1], ways[i].name) == 0) {
            ways[i].run();
            puts(last == NULL ? "survived with NULL" : "survived with a block");
            return SURVIVED;
        }
    }
    return UNKNOWN_WAY;
}
