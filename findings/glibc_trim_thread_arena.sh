#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# glibc up to 2.41: small blocks that a thread freed stay resident, and malloc_trim(0) can't return them.
#
# Versions: Debian's libc6 2.36-9+deb12u14 (bookworm), 2.41-12+deb13u5 (trixie) and 2.43-7 (forky).
# A thread allocates 50 MB, frees all of it and ends. Of blocks of 1,000 bytes nearly all goes back as they are freed.
# Of blocks of 100 bytes everything stays with 2.36 and 2.41, after the thread's end and after malloc_trim(0), which
# gives back the top of the main arena only. In the main thread the same trim returns nearly all. With 2.43 the small
# blocks go back as they are freed, too.
. "$(dirname "$0")/debian.sh"

cat > "$work/ask.c" << 'C'
#include <gnu/libc-version.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *blocks[500000];
static size_t size;
static long before;
static long full;

static long resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) return 0;
    fclose(file);
    return pages * 4096;
}

static void *work(void *unused)
{
    int count = (int)(50000000 / size);
    before = resident();
    for (int i = 0; i < count; i++) blocks[i] = memset(malloc(size), 1, size);
    full = resident();
    for (int i = 0; i < count; i++) free(blocks[i]);
    return unused;
}

static const char *kept(void)
{
    return (double)(resident() - before) < 0.2 * (double)(full - before) ? "given back" : "kept";
}

int main(int argc, char **argv)
{
    size = (size_t)atoi(argv[1]);
    if (argc > 2) {
        work(NULL);
    } else {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, NULL) != 0) return 1;
        pthread_join(thread, NULL);
    }
    printf("glibc %s, %zu bytes, %s: %s", gnu_get_libc_version(), size, argc > 2 ? "main thread" : "thread", kept());
    malloc_trim(0);
    printf(", after malloc_trim(0) %s\n", kept());
}
C
ask() {
    compile "$work/ask" < "$work/ask.c"
    run "$work/ask" 1000
    run "$work/ask" 100
    run "$work/ask" 100 main
}

{
    debian bookworm libc6=2.36-9+deb12u14
    ask
    debian trixie libc6=2.41-12+deb13u5
    ask
    debian forky libc6=2.43-7
    ask
} | expect 'glibc 2.36, 1000 bytes, thread: given back, after malloc_trim(0) given back
glibc 2.36, 100 bytes, thread: kept, after malloc_trim(0) kept
glibc 2.36, 100 bytes, main thread: kept, after malloc_trim(0) given back
glibc 2.41, 1000 bytes, thread: given back, after malloc_trim(0) given back
glibc 2.41, 100 bytes, thread: kept, after malloc_trim(0) kept
glibc 2.41, 100 bytes, main thread: kept, after malloc_trim(0) given back
glibc 2.43, 1000 bytes, thread: given back, after malloc_trim(0) given back
glibc 2.43, 100 bytes, thread: given back, after malloc_trim(0) given back
glibc 2.43, 100 bytes, main thread: given back, after malloc_trim(0) given back'
