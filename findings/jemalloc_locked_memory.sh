#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# jemalloc: a purge of locked memory gives none of it back, and stats.resident is as if it had.
#
# Versions: Debian's libjemalloc2 5.3.0-1 (bookworm) and 5.3.1-2 (forky), beside libtcmalloc-minimal4 2.10-1
# (bookworm) and libtcmalloc-minimal4t64 2.18.1-2 (forky).
# The kernel refuses MADV_DONTNEED for locked pages (mlock, mlockall). A block of 4 MiB is locked, freed and purged:
# all of it is still in RSS, and in no figure of jemalloc's. tcmalloc has it in total_physical_bytes. So in a program
# that locks its memory, stats.resident can be far below RSS.
. "$(dirname "$0")/debian.sh"

cat > "$work/ask.c" << 'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include FIGURES

enum { SIZE = 4 << 20 };

static double rss(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*u %zu", &pages) != 1) exit(1);
    fclose(file);
    return (double)pages * 4096;
}

static void tell(const char *name, int locked)
{
    purge();
    double held = held_bytes(), before = rss();
    char *block = malloc(SIZE);
    memset(block, 1, SIZE);
    if (locked && mlock(block, SIZE) != 0) {
        perror("mlock");
        exit(1);
    }
    free(block);
    purge();
    printf("%s, %s: in its figure %s, in RSS %s\n", name, locked ? "locked" : "not locked",
        held_bytes() - held > SIZE / 2 ? "still" : "no more", rss() - before > SIZE / 2 ? "still" : "no more");
}

int main(int argc, char **argv)
{
    (void)argc;
    tell(argv[1], 0);
    tell(argv[1], 1);
}
C
cat > "$work/jemalloc.h" << 'C'
#include <jemalloc/jemalloc.h>
static double held_bytes(void)
{
    size_t value = 0, size = sizeof value;
    unsigned long epoch = 1;
    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    mallctl("stats.resident", &value, &size, NULL, 0);
    return (double)value;
}
static void purge(void) { mallctl("arena.4096.purge", NULL, NULL, NULL, 0); }
C
cat > "$work/tcmalloc.h" << 'C'
#include <gperftools/malloc_extension_c.h>
static double held_bytes(void)
{
    size_t value = 0;
    MallocExtension_GetNumericProperty("generic.total_physical_bytes", &value);
    return (double)value;
}
static void purge(void) { MallocExtension_ReleaseFreeMemory(); }
C
ask() {
    compile "$work/ask" -D"FIGURES=\"$work/$1.h\"" "$3" < "$work/ask.c"
    run "$work/ask" "$1 $2"
}
{
    debian bookworm libc6=2.36-9+deb12u14 libstdc++6=12.2.0-14+deb12u1 libgcc-s1=12.2.0-14+deb12u1 \
        libjemalloc2=5.3.0-1 libjemalloc-dev=5.3.0-1 libtcmalloc-minimal4=2.10-1 libgoogle-perftools-dev=2.10-1
    ask jemalloc 5.3.0 "$lib/libjemalloc.so.2"
    ask tcmalloc 2.10 "$lib/libtcmalloc_minimal.so.4"
    debian forky libc6=2.43-7 libstdc++6=16.2.0-3 libgcc-s1=16.2.0-3 \
        libjemalloc2=5.3.1-2 libjemalloc-dev=5.3.1-2 \
        libtcmalloc-minimal4t64=2.18.1-2 libgoogle-perftools-dev=2.18.1-2
    ask jemalloc 5.3.1 "$lib/libjemalloc.so.2"
    ask tcmalloc 2.18.1 "$lib/libtcmalloc_minimal.so.4"
} | expect 'jemalloc 5.3.0, not locked: in its figure no more, in RSS no more
jemalloc 5.3.0, locked: in its figure no more, in RSS still
tcmalloc 2.10, not locked: in its figure no more, in RSS no more
tcmalloc 2.10, locked: in its figure still, in RSS still
jemalloc 5.3.1, not locked: in its figure no more, in RSS no more
jemalloc 5.3.1, locked: in its figure no more, in RSS still
tcmalloc 2.18.1, not locked: in its figure no more, in RSS no more
tcmalloc 2.18.1, locked: in its figure still, in RSS still'
