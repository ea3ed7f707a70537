#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# jemalloc: an idle program gives nothing back, however long the decay time has passed.
#
# Versions: Debian's libjemalloc2 5.3.0-1 (bookworm) and 5.3.1-2 (forky).
# With a decay time of 1,000 ms and the default of no background thread, every other of 96 blocks of 1 MiB is freed.
# Five seconds later all of it is still resident: the clock is looked at when a call reaches the arena. 100,000 pairs
# of small malloc and free, which the thread's cache serves, don't change it. With the background thread what was
# freed is gone by then.
. "$(dirname "$0")/debian.sh"

ask() {
    compile "$work/ask" "$lib/libjemalloc.so.2" << 'C'
#include <jemalloc/jemalloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void tell(const char *when)
{
    double kept = (double)(resident() - before) / (double)(full - before);
    const char *rest = kept > 0.9 ? "all is there" : kept < 0.6 ? "what was freed is gone" : "a part is there";
    printf("  %s: %s\n", when, rest);
}

int main(void)
{
    const char *version;
    size_t length = sizeof version;
    bool background = false;
    void *blocks[96];
    mallctl("version", &version, &length, NULL, 0);
    length = sizeof background;
    mallctl("background_thread", &background, &length, NULL, 0);
    printf("jemalloc %.5s, background thread: %s\n", version, background ? "on" : "off");
    before = resident();
    for (int i = 0; i < 96; i++) blocks[i] = memset(malloc(1 << 20), 1, 1 << 20);
    full = resident();
    for (int i = 0; i < 96; i += 2) free(blocks[i]);
    sleep(5);
    tell("after five idle seconds");
    for (int i = 0; i < 100000; i++) free(malloc(32));
    tell("after 100,000 small pairs");
}
C
    MALLOC_CONF=dirty_decay_ms:1000,muzzy_decay_ms:0 run "$work/ask"
    MALLOC_CONF=dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:true run "$work/ask"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libjemalloc2=5.3.0-1 libjemalloc-dev=5.3.0-1
    ask
    debian forky libc6=2.43-7 libjemalloc2=5.3.1-2 libjemalloc-dev=5.3.1-2
    ask
} | expect 'jemalloc 5.3.0, background thread: off
  after five idle seconds: all is there
  after 100,000 small pairs: all is there
jemalloc 5.3.0, background thread: on
  after five idle seconds: what was freed is gone
  after 100,000 small pairs: what was freed is gone
jemalloc 5.3.1, background thread: off
  after five idle seconds: all is there
  after 100,000 small pairs: all is there
jemalloc 5.3.1, background thread: on
  after five idle seconds: what was freed is gone
  after 100,000 small pairs: what was freed is gone'
