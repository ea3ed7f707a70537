/* SPDX-License-Identifier: BSD-3-Clause */
/* Uploads that leak when they are aborted, and the two tests of them, of which one finds that. In Python: leak.py. */
#include <zmalloc.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The code under test: a file that a client is sending, in parts. */

struct part {
    struct part *next;
    size_t size;
    char data[];
};

struct upload {
    char *name;
    struct part *parts; /* the last one first */
};

static struct upload *begin(const char *name)
{
    struct upload *upload = zcalloc(sizeof(*upload));
    upload->name = zstrdup(name);
    return upload;
}

static void add(struct upload *upload, const char *data, size_t size)
{
    struct part *part = zmalloc(sizeof(*part) + size);
    part->size = size;
    memcpy(part->data, data, size);
    part->next = upload->parts;
    upload->parts = part;
}

/* Returns the size of the file. */
static size_t finish(struct upload *upload)
{
    size_t size = 0;
    for (struct part *part = upload->parts, *next; part != NULL; part = next) {
        next = part->next;
        size += part->size;
        zfree(part);
    }
    zfree(upload->name);
    zfree(upload);
    return size;
}

/* This is the leak: the parts stay. */
static void give_up(struct upload *upload)
{
    zfree(upload->name);
    zfree(upload);
}

/* The tests. Does what it is given, and prints what this thread allocated and freed in it. */
#define STEP(...)                                                                                                    \
    do {                                                                                                             \
        size_t allocated = zmalloc_thread_allocated(), freed = zmalloc_thread_freed();                               \
        __VA_ARGS__;                                                                                                 \
        allocated = zmalloc_thread_allocated() - allocated;                                                          \
        freed = zmalloc_thread_freed() - freed;                                                                      \
        printf("    allocated %6zu, freed %6zu: %s\n", allocated, freed, #__VA_ARGS__);                              \
    } while (0)

static const char data[30000];

static void test_finished(void)
{
    struct upload *upload;
    STEP(upload = begin("a.png"));
    STEP(add(upload, data, 30000));
    STEP(add(upload, data, 20000));
    STEP(finish(upload));
}

static void test_aborted(void)
{
    struct upload *upload;
    STEP(upload = begin("b.png"));
    STEP(add(upload, data, 30000));
    STEP(add(upload, data, 20000));
    STEP(give_up(upload));
}

/* Blocks of all threads count; what printf and the like take from malloc does not. */
static bool keeps_nothing(const char *name, void (*test)(void))
{
    printf("%s\n", name);
    size_t before = zmalloc_used_memory();
    test();
    size_t kept = zmalloc_used_memory() - before;
    if (kept != 0) {
        printf("    FAILED: keeps %zu bytes\n", kept);
        return false;
    }
    printf("    ok\n");
    return true;
}

int main(void)
{
    bool finished = keeps_nothing("test_finished", test_finished);
    bool aborted = keeps_nothing("test_aborted", test_aborted);
    return finished && aborted ? 0 : 1;
}
