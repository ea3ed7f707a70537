#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# jemalloc gives freed memory of 8 MiB and more back at once, whatever the decay times say.
#
# Versions: Debian's libjemalloc2 5.3.0-1 (bookworm) and 5.3.1-2 (forky).
# With dirty_decay_ms and muzzy_decay_ms of 60,000 a freed block of 4 MiB stays resident, as the option promises; one
# of 8 MiB or more is gone as free() returns. The same happens to small blocks once free neighbours have merged: of
# 64 blocks of 1 MiB over a quarter is gone at once. Only -1, which is never, keeps all.
. "$(dirname "$0")/debian.sh"

ask() {
    compile "$work/ask" "$lib/libjemalloc.so.2" << 'C'
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) return 0;
    fclose(file);
    return pages * 4096;
}

static void tell(const char *what, long before, long full)
{
    double kept = (double)(resident() - before) / (double)(full - before);
    printf("  %s: %s\n", what, kept < 0.05 ? "gone at once" : kept < 0.75 ? "a part is gone at once" : "stays");
}

int main(void)
{
    const char *version;
    size_t length = sizeof version;
    ssize_t decay;
    mallctl("version", &version, &length, NULL, 0);
    length = sizeof decay;
    mallctl("arenas.dirty_decay_ms", &decay, &length, NULL, 0);
    printf("jemalloc %.5s, decay of %zd ms\n", version, decay);
    (void)resident();
    for (size_t size = 2; size <= 32; size *= 2) {
        long before = resident();
        void *block = memset(malloc(size << 20), 1, size << 20);
        long full = resident();
        free(block);
        char what[32];
        snprintf(what, sizeof what, "%zu MiB", size);
        tell(what, before, full);
    }
    void *blocks[64];
    long before = resident();
    for (int i = 0; i < 64; i++) blocks[i] = memset(malloc(1 << 20), 1, 1 << 20);
    long full = resident();
    for (int i = 0; i < 64; i++) free(blocks[i]);
    tell("64 of 1 MiB", before, full);
}
C
    MALLOC_CONF=dirty_decay_ms:60000,muzzy_decay_ms:60000 run "$work/ask"
    MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1 run "$work/ask"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libjemalloc2=5.3.0-1 libjemalloc-dev=5.3.0-1
    ask
    debian forky libc6=2.43-7 libjemalloc2=5.3.1-2 libjemalloc-dev=5.3.1-2
    ask
} | expect 'jemalloc 5.3.0, decay of 60000 ms
  2 MiB: stays
  4 MiB: stays
  8 MiB: gone at once
  16 MiB: gone at once
  32 MiB: gone at once
  64 of 1 MiB: a part is gone at once
jemalloc 5.3.0, decay of -1 ms
  2 MiB: stays
  4 MiB: stays
  8 MiB: stays
  16 MiB: stays
  32 MiB: stays
  64 of 1 MiB: stays
jemalloc 5.3.1, decay of 60000 ms
  2 MiB: stays
  4 MiB: stays
  8 MiB: gone at once
  16 MiB: gone at once
  32 MiB: gone at once
  64 of 1 MiB: a part is gone at once
jemalloc 5.3.1, decay of -1 ms
  2 MiB: stays
  4 MiB: stays
  8 MiB: stays
  16 MiB: stays
  32 MiB: stays
  64 of 1 MiB: stays'
