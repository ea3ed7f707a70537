#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mimalloc 3 maps 1 GiB of writable memory for a program's first block of 1 byte. mimalloc 2.0.9 maps 32 MiB.
#
# Versions: Debian's libmimalloc2.0 2.0.9+ds-2 (bookworm), libmimalloc3 3.0.1+ds-2.1 (trixie) and 3.6.0+ds-1 (forky).
# The kernel counts all of it against RLIMIT_AS and RLIMIT_DATA, touched or not. A program that sets a limit of 600
# MiB after its first block can start no thread then: there is no room for a stack.
. "$(dirname "$0")/debian.sh"

ask() {
    compile "$work/ask" "$lib/$1" << 'C'
#include <fcntl.h>
#include <mimalloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void *nothing(void *argument)
{
    return argument;
}

static double mapped(void)
{
    char text[100] = "";
    int file = open("/proc/self/statm", O_RDONLY); /* fopen would allocate */
    read(file, text, sizeof text - 1);
    close(file);
    return strtod(text, NULL) * 4096 / (1 << 30);
}

static const char *under_limit(int resource, size_t mib)
{
    const struct rlimit old = {RLIM_INFINITY, RLIM_INFINITY}, limit = {mib << 20, RLIM_INFINITY};
    pthread_t thread;
    setrlimit(resource, &limit);
    int error = pthread_create(&thread, NULL, nothing, NULL);
    setrlimit(resource, &old);
    if (error == 0) pthread_join(thread, NULL);
    return error == 0 ? "starts" : "fails";
}

int main(void)
{
    double before = mapped();
    void *block = mi_malloc(1);
    double after = mapped();
    printf("mimalloc %d: %.2f GiB mapped, then %.2f", mi_version(), before, after);
    printf("; a thread under RLIMIT_AS %s", under_limit(RLIMIT_AS, 600));
    printf(", RLIMIT_DATA %s\n", under_limit(RLIMIT_DATA, 600));
    mi_free(block);
}
C
    run "$work/ask"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libmimalloc2.0=2.0.9+ds-2 libmimalloc-dev=2.0.9+ds-2
    ask libmimalloc.so.2.0
    debian trixie libc6=2.41-12+deb13u5 libmimalloc3=3.0.1+ds-2.1 libmimalloc-dev=3.0.1+ds-2.1
    ask libmimalloc.so.3
    debian forky libc6=2.43-7 libmimalloc3=3.6.0+ds-1 libmimalloc-dev=3.6.0+ds-1
    ask libmimalloc.so.3
} | expect 'mimalloc 209: 0.00 GiB mapped, then 0.03; a thread under RLIMIT_AS starts, RLIMIT_DATA starts
mimalloc 301: 0.00 GiB mapped, then 1.00; a thread under RLIMIT_AS fails, RLIMIT_DATA fails
mimalloc 30600: 0.00 GiB mapped, then 1.00; a thread under RLIMIT_AS fails, RLIMIT_DATA fails'
