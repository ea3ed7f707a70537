#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mimalloc 3: under a higher limit on address space a program can start fewer threads.
#
# Versions: Debian's libmimalloc2.0 2.0.9+ds-2 (bookworm), libmimalloc3 3.0.1+ds-2.1 (trixie) and 3.6.0+ds-1 (forky).
# A program makes one block and then starts threads of 8 MiB of stack under RLIMIT_AS. Below 1 GiB mimalloc 3 makes do
# with little address space. From 1 GiB on it takes 1 GiB for the first block, and the threads have what is left: over
# 100 start under 1,000,000 KiB, and under 20 with 200,000 KiB more. With 2.0.9, which takes 32 MiB for each thread,
# more address space is always room for more threads.
. "$(dirname "$0")/debian.sh"

cat > "$work/ask.c" << 'C'
#include <mimalloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void *work(void *unused)
{
    mi_free(mi_malloc(10));
    pause();
    return unused;
}

static int threads(rlim_t kib)
{
    int count = 0;
    pthread_t thread;
    pthread_attr_t stack;
    struct rlimit limit = {kib * 1024, kib * 1024};
    if (setrlimit(RLIMIT_AS, &limit) != 0 || mi_malloc(1) == NULL) exit(1);
    pthread_attr_init(&stack);
    pthread_attr_setstacksize(&stack, 8 << 20);
    while (count < 500 && pthread_create(&thread, &stack, work, NULL) == 0) count++;
    return count;
}

int main(int argc, char **argv)
{
    (void)argc;
    int count = threads((rlim_t)atol(argv[2]));
    printf("mimalloc %s, %s KiB: %s\n", argv[1], argv[2],
        count < 20 ? "fewer than 20 threads" : count <= 100 ? "20 to 100 threads" : "over 100 threads");
    fflush(stdout);
    _exit(0);
}
C
ask() {
    compile "$work/ask" "$lib/$2" < "$work/ask.c"
    for limit in 1000000 1200000; do run "$work/ask" "$1" "$limit" 2> "$work/words"; done
    [ "$1" = 2.0.9 ] || MIMALLOC_ARENA_RESERVE=32M run "$work/ask" "$1, told to take 32 MiB" 1200000 2> "$work/words"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libmimalloc2.0=2.0.9+ds-2 libmimalloc-dev=2.0.9+ds-2
    ask 2.0.9 libmimalloc.so.2.0
    debian trixie libc6=2.41-12+deb13u5 libmimalloc3=3.0.1+ds-2.1 libmimalloc-dev=3.0.1+ds-2.1
    ask 3.0.1 libmimalloc.so.3
    debian forky libc6=2.43-7 libmimalloc3=3.6.0+ds-1 libmimalloc-dev=3.6.0+ds-1
    ask 3.6.0 libmimalloc.so.3
} | expect 'mimalloc 2.0.9, 1000000 KiB: 20 to 100 threads
mimalloc 2.0.9, 1200000 KiB: 20 to 100 threads
mimalloc 3.0.1, 1000000 KiB: over 100 threads
mimalloc 3.0.1, 1200000 KiB: fewer than 20 threads
mimalloc 3.0.1, told to take 32 MiB, 1200000 KiB: over 100 threads
mimalloc 3.6.0, 1000000 KiB: over 100 threads
mimalloc 3.6.0, 1200000 KiB: fewer than 20 threads
mimalloc 3.6.0, told to take 32 MiB, 1200000 KiB: over 100 threads'
