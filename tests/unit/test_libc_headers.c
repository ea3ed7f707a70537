/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A block's size from the word before it: that it is what glibc says, for blocks of every kind, and that nothing is
 * read there when another malloc was put before glibc's. Without arguments it starts itself once for each such malloc
 * that is installed; the argument says what is expected: "headers" or "calls".
 */
#include "../c/sanitizers.h"
#include "allocator/allocator.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__i386__)) && __GLIBC_MINOR__ >= 34
enum { EXPECTED = !SANITIZED };
#else
enum { EXPECTED = false };
#endif

static void expect(bool holds, const char *what, size_t number)
{
    if (!holds) {
        fprintf(stderr, "%s, %zu\n", what, number);
        _exit(1);
    }
}

static void check(void *block, const char *what, size_t size)
{
    expect(block != NULL, what, size);
    expect(zm_allocator_usable_size(block) == malloc_usable_size(block), what, size);
    expect(zm_allocator_usable_size(block) >= size, what, size);
}

/* Many at once, so that they come from every place: fresh, from a cache, cut off, and grown together. */
static void *check_blocks(void *unused)
{
    enum { BLOCKS = 4000, STEP = 37, LARGE = 1 << 20 };
    static _Thread_local void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = 1 + i * STEP % 9000;
        blocks[i] = i % 3 == 0   ? malloc(size)
                    : i % 3 == 1 ? calloc(1, size)
                                 : zm_allocator_allocate_aligned(64, size);
        check(blocks[i], "block", size);
    }
    for (size_t i = 0; i < BLOCKS; i += 2) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
    for (size_t i = 1; i < BLOCKS; i += 2) {
        check(blocks[i], "block beside a freed one", 1);
        size_t size = 1 + i * STEP % 20000;
        void *moved = realloc(blocks[i], size);
        check(moved, "reallocated block", size);
        blocks[i] = moved;
    }
    for (size_t size = 1 << 16; size <= LARGE; size += 5000) {
        void *block = malloc(size);
        check(block, "large block", size);
        free(block);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    return unused;
}

static void check_here(bool headers)
{
    pthread_t threads[4];
    expect(zm_libc_has_headers == headers, "headers are read", zm_libc_has_headers);
    expect(zm_allocator_usable_size(NULL) == 0, "no block", 0);
    check_blocks(NULL);
    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
        expect(pthread_create(&threads[i], NULL, check_blocks, NULL) == 0, "thread", i);
    }
    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
        pthread_join(threads[i], NULL);
    }
}

/* The loader goes on without a library that is not there. */
enum { NOT_INSTALLED = 77 };

static void check_another(const char *program, const char *library, const char *checks)
{
    pid_t child = fork();
    if (child == 0) {
        setenv("LD_PRELOAD", library, true);
        setenv("MALLOC_CHECK_", checks, true);
        execl(program, program, "calls", library, (char *) NULL);
        _exit(2);
    }
    int status = 0;
    expect(child > 0 && waitpid(child, &status, 0) == child, library, 0);
    bool installed = !WIFEXITED(status) || WEXITSTATUS(status) != NOT_INSTALLED;
    expect(!installed || status == 0, library, (size_t) status);
    printf("%s: %s\n", library, installed ? "sizes are asked for" : "not installed");
}

int main(int argc, char **argv)
{
    if (argc == 3 && dlopen(argv[2], RTLD_LAZY | RTLD_NOLOAD) == NULL) {
        return NOT_INSTALLED;
    }
    if (argc > 1) {
        check_here(strcmp(argv[1], "headers") == 0);
        return 0;
    }
    check_here(EXPECTED);
    if (EXPECTED && getenv("ZMALLOC_EMULATED") == NULL) {
        check_another(argv[0], "libc_malloc_debug.so.0", "0");
        check_another(argv[0], "libc_malloc_debug.so.0", "3");
        check_another(argv[0], "libjemalloc.so.2", "0");
        check_another(argv[0], "libtcmalloc_minimal.so.4", "0");
        check_another(argv[0], "libtcmalloc_minimal_debug.so.4", "0");
        check_another(argv[0], "libmimalloc.so.2", "0");
        check_another(argv[0], "libmimalloc.so.3", "0");
    }
    return 0;
}
