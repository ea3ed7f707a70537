/* SPDX-License-Identifier: BSD-3-Clause */
/* One thread that makes and frees blocks. Usage: churn WORKLOAD OPERATIONS; prints nanoseconds per operation. */
#include "contender.h"
#include "workload.h"

#include <string.h>

enum { HELD = 4096 };

static void *held[HELD];

/* Replaces blocks at random places among a few thousand. */
static void mixed(long operations)
{
    uint32_t state = 1;
    for (long i = 0; i < operations; i++) {
        size_t place = next_random(&state) % HELD;
        size_t size = mixed_size(&state);
        contender_free(held[place]);
        held[place] = contender_malloc(size);
        *(volatile char *) held[place] = 1;
    }
}

static void fixed(long operations)
{
    for (long i = 0; i < operations; i++) {
        void *ptr = contender_malloc(64);
        *(volatile char *) ptr = 1;
        contender_free(ptr);
    }
}

/* As servers do, which keep the sizes of their buffers. */
static void usable(long operations)
{
    uint32_t state = 1;
    for (long i = 0; i < operations; i++) {
        size_t place = next_random(&state) % HELD;
        size_t size = mixed_size(&state);
        contender_free(held[place]);
        held[place] = contender_malloc_usable(size, &size);
        ((volatile char *) held[place])[size - 1] = 1;
    }
}

#ifndef WITHOUT_ALIGNED /* as a server's own layer is */

static void aligned(long operations)
{
    uint32_t state = 1;
    for (long i = 0; i < operations; i++) {
        size_t place = next_random(&state) % HELD;
        size_t size = mixed_size(&state);
        contender_free(held[place]);
        held[place] = contender_aligned(64, size);
        *(volatile char *) held[place] = 1;
    }
}

#endif

static void zeroed(long operations)
{
    uint32_t state = 1;
    for (long i = 0; i < operations; i++) {
        size_t place = next_random(&state) % HELD;
        size_t size = mixed_size(&state);
        contender_free(held[place]);
        held[place] = contender_calloc(size);
        *(volatile char *) held[place] = 1;
    }
}

/* Strings that grow bit by bit, as buffers do. */
static void growth(long operations)
{
    static size_t sizes[HELD];
    uint32_t state = 1;
    for (long i = 0; i < operations; i++) {
        size_t place = next_random(&state) % HELD;
        sizes[place] = sizes[place] >= 2048 ? 16 : sizes[place] + 1 + next_random(&state) % 64;
        held[place] = contender_realloc(held[place], sizes[place]);
        *(volatile char *) held[place] = 1;
    }
}

static const struct {
    const char *name;
    void (*run)(long operations);
} workloads[] = {
#ifndef WITHOUT_ALIGNED
    {"aligned", aligned},
#endif
    {"mixed", mixed},     {"fixed", fixed}, {"usable", usable}, {"calloc", zeroed}, {"realloc", growth},
};

int main(int argc, char **argv)
{
    long operations = argc == 3 ? number(argv[2], "OPERATIONS") : 0;
    for (size_t i = 0; argc == 3 && i < sizeof(workloads) / sizeof(workloads[0]); i++) {
        if (strcmp(argv[1], workloads[i].name) == 0) {
            for (size_t place = 0; place < HELD; place++) {
                held[place] = contender_malloc(16);
            }
            double start = seconds();
            workloads[i].run(operations);
            printf("%.3f\n", (seconds() - start) / (double) operations * 1e9);
            return 0;
        }
    }
    fprintf(stderr, "usage: churn mixed|fixed|usable|calloc|aligned|realloc OPERATIONS\n");
    return 2;
}
