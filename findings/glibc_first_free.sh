#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# glibc 2.43: a thread that has never freed anything keeps what it made, when it frees all of it.
#
# Versions: Debian's libc6 2.41-12+deb13u5 (trixie) and 2.43-7 (forky).
# A worker makes 50,000 blocks of 1,000 bytes and frees them again. With 2.41 they go back to the kernel as they are
# freed. With 2.43 all of it stays resident until the thread ends or malloc_trim(0) is called. A single malloc and
# free at the thread's begin is enough for them to go back.
. "$(dirname "$0")/debian.sh"

cat > "$work/ask.c" << 'C'
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 50000, SIZE = 1000 };
static void *blocks[COUNT];
static bool frees_early;
static long before, full, freed, trimmed;

/* Without a stream, which would be made and freed. */
static long resident(void)
{
    char text[100] = "";
    long pages = 0;
    int file = open("/proc/self/statm", O_RDONLY);
    if (read(file, text, sizeof text - 1) <= 0 || sscanf(text, "%*d %ld", &pages) != 1) exit(1);
    close(file);
    return pages * 4096;
}

static void *work(void *unused)
{
    if (frees_early) free(malloc(100));
    before = resident();
    for (int i = 0; i < COUNT; i++) blocks[i] = memset(malloc(SIZE), 1, SIZE);
    full = resident();
    for (int i = 0; i < COUNT; i++) free(blocks[i]);
    freed = resident();
    malloc_trim(0);
    trimmed = resident();
    return unused;
}

static const char *kept(long bytes)
{
    return (double)(bytes - before) < 0.1 * (double)(full - before) ? "gone" : "kept";
}

int main(int argc, char **argv)
{
    pthread_t thread;
    (void)argv;
    frees_early = argc > 1;
    (void)resident();
    if (pthread_create(&thread, NULL, work, NULL) != 0) return 1;
    pthread_join(thread, NULL);
    printf("glibc %s, %s: %s, after malloc_trim(0) %s\n", gnu_get_libc_version(),
        frees_early ? "one free before" : "no free before", kept(freed), kept(trimmed));
}
C
ask() {
    compile "$work/ask" < "$work/ask.c"
    run "$work/ask"
    run "$work/ask" early
}

{
    debian trixie libc6=2.41-12+deb13u5
    ask
    debian forky libc6=2.43-7
    ask
} | expect 'glibc 2.41, no free before: gone, after malloc_trim(0) gone
glibc 2.41, one free before: gone, after malloc_trim(0) gone
glibc 2.43, no free before: kept, after malloc_trim(0) gone
glibc 2.43, one free before: gone, after malloc_trim(0) gone'
