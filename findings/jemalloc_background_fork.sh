#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# jemalloc: in a child process the background thread is off, and stays off until the child itself turns it on.
#
# Versions: Debian's libjemalloc2 5.3.0-1 (bookworm) and 5.3.1-2 (forky).
# With MALLOC_CONF=background_thread:true the parent has its thread. A child of fork() reads the option as false and
# has one thread, also after 1,000 calls that would start it in the parent. Setting the option there works. Programs
# that fork workers after the allocator has started lose what gives memory back in idle times, in every worker.
. "$(dirname "$0")/debian.sh"

ask() {
    compile "$work/ask" "$lib/libjemalloc.so.2" << 'C'
#include <jemalloc/jemalloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *who)
{
    bool on = false;
    size_t length = sizeof on;
    mallctl("background_thread", &on, &length, NULL, 0);
    int threads = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL && sscanf(line, "Threads: %d", &threads) != 1) {}
    if (file != NULL) fclose(file);
    printf("  %s: background_thread %s, %d threads\n", who, on ? "true" : "false", threads);
    fflush(stdout);
}

static void work(void)
{
    for (int i = 0; i < 1000; i++) free(malloc(100000));
    usleep(200000);
}

int main(void)
{
    const char *version;
    size_t length = sizeof version;
    mallctl("version", &version, &length, NULL, 0);
    printf("jemalloc %.5s\n", version);
    work();
    tell("parent");
    if (fork() == 0) {
        work();
        tell("child");
        bool on = true;
        mallctl("background_thread", NULL, NULL, &on, sizeof on);
        work();
        tell("child that turned it on");
        _exit(0);
    }
    wait(NULL);
}
C
    MALLOC_CONF=background_thread:true run "$work/ask"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libjemalloc2=5.3.0-1 libjemalloc-dev=5.3.0-1
    ask
    debian forky libc6=2.43-7 libjemalloc2=5.3.1-2 libjemalloc-dev=5.3.1-2
    ask
} | expect 'jemalloc 5.3.0
  parent: background_thread true, 2 threads
  child: background_thread false, 1 threads
  child that turned it on: background_thread true, 2 threads
jemalloc 5.3.1
  parent: background_thread true, 2 threads
  child: background_thread false, 1 threads
  child that turned it on: background_thread true, 2 threads'
