#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What allocators say of themselves, beside what the kernel and the caller know, on three releases of Debian.
#
# Versions: those of bookworm, trixie and forky: jemalloc 5.3.0, 5.3.0, 5.3.1; gperftools 2.10, 2.16, 2.18.1; glibc
# 2.36, 2.41, 2.43; mimalloc 2.0.9, 3.0.1, 3.6.0.
# "data" is what the kernel counts as data in a program with one block, in MiB. "sizes" are usable sizes of blocks
# of 100, 1,000, 100,000, 1,000,000 and 10,000,000 bytes. "allocated" is the allocator's own sum, less that of the
# usable sizes, for 64 MiB of small blocks, in % of it. Then, in MiB: the allocator's figure for memory that it
# holds from the kernel, and RSS beside it, both less what they were at first, in steps of 16: with those blocks
# written, freed, and after a purge. For glibc, which has no such figure, it is the size of its heaps and
# mappings. What mimalloc 3 says it has committed is less than what is resident. It does not fall after a purge
# with 3.6.0, and falls below what it was at first with 3.0.1.
. "$(dirname "$0")/debian.sh"

cat > "$work/ask.c" << 'C'
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include FIGURES

enum { COUNT = 1 << 16, SIZE = 1024, MIB = 1 << 20 };
static char *blocks[COUNT];

/* Resident and data, without a block for a stream. */
static double kernel_bytes(const char *which)
{
    char text[200] = "";
    long rss = 0;
    long data = 0;
    int file = open("/proc/self/statm", O_RDONLY);
    if (read(file, text, sizeof text - 1) <= 0 || sscanf(text, "%*d %ld %*d %*d %*d %ld", &rss, &data) != 2) exit(1);
    close(file);
    return (double)(strcmp(which, "rss") == 0 ? rss : data) * 4096;
}

static long mib(double bytes)
{
    return (long)(bytes / MIB + (bytes < 0 ? -0.5 : 0.5));
}

static long about(double bytes)
{
    return 16 * mib(bytes / 16);
}

int main(int argc, char **argv)
{
    static char buffer[BUFSIZ];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    free(malloc(100));
    printf("%s %s: data %ld; sizes", argv[1], argv[argc - 1], mib(kernel_bytes("data")));
    const size_t sizes[] = {100, 1000, 100000, 1000000, 10000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *block = malloc(sizes[i]);
        printf(" %zu", malloc_usable_size(block));
        free(block);
    }
    purge();
    double held = held_bytes(), rss = kernel_bytes("rss"), before = allocated_bytes(), usable = 0;
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = memset(malloc(SIZE), 1, SIZE);
        usable += (double)malloc_usable_size(blocks[i]);
    }
    double allocated = allocated_bytes() - before;
    if (allocated > 0) printf("\n  allocated %+.1f %%", (allocated - usable) * 100 / usable);
    else printf("\n  allocated unknown");
    printf("; written %ld %ld", about(held_bytes() - held), about(kernel_bytes("rss") - rss));
    for (int i = 0; i < COUNT; i++) free(blocks[i]);
    printf("; freed %ld %ld", about(held_bytes() - held), about(kernel_bytes("rss") - rss));
    purge();
    printf("; purged %ld %ld\n", about(held_bytes() - held), about(kernel_bytes("rss") - rss));
    return 0;
}
C

cat > "$work/jemalloc.h" << 'C'
#include <jemalloc/jemalloc.h>
static double figure(const char *name)
{
    size_t value = 0, size = sizeof value;
    unsigned long epoch = 1;
    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    mallctl(name, &value, &size, NULL, 0);
    return (double)value;
}
static double allocated_bytes(void) { return figure("stats.allocated"); }
static double held_bytes(void) { return figure("stats.resident"); }
static void purge(void)
{
    mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
}
C
cat > "$work/tcmalloc.h" << 'C'
#include <gperftools/malloc_extension_c.h>
static double figure(const char *name)
{
    size_t value = 0;
    MallocExtension_GetNumericProperty(name, &value);
    return (double)value;
}
static double allocated_bytes(void) { return figure("generic.current_allocated_bytes"); }
static double held_bytes(void) { return figure("generic.total_physical_bytes"); }
static void purge(void)
{
    MallocExtension_MarkThreadTemporarilyIdle();
    MallocExtension_ReleaseFreeMemory();
}
C
cat > "$work/glibc.h" << 'C'
static double allocated_bytes(void)
{
    struct mallinfo2 figures = mallinfo2();
    return (double)(figures.uordblks + figures.hblkhd);
}
static double held_bytes(void)
{
    struct mallinfo2 figures = mallinfo2();
    return (double)(figures.arena + figures.hblkhd);
}
static void purge(void) { malloc_trim(0); }
C
cat > "$work/mimalloc.h" << 'C'
#include <mimalloc.h>
static double allocated_bytes(void) { return 0; }
static double held_bytes(void)
{
    size_t committed = 0;
    mi_process_info(NULL, NULL, NULL, NULL, NULL, &committed, NULL, NULL);
    return (double)(long)committed;
}
static void purge(void) { mi_collect(true); }
C

# ask NAME VERSION LIBRARY…
ask() {
    name=$1
    version=$2
    shift 2
    compile "$work/ask" -D"FIGURES=\"$work/$name.h\"" "$@" < "$work/ask.c"
    run "$work/ask" "$name" "$version"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libstdc++6=12.2.0-14+deb12u1 libgcc-s1=12.2.0-14+deb12u1 \
        libjemalloc2=5.3.0-1 libjemalloc-dev=5.3.0-1 libmimalloc2.0=2.0.9+ds-2 libmimalloc-dev=2.0.9+ds-2 \
        libtcmalloc-minimal4=2.10-1 libgoogle-perftools-dev=2.10-1
    ask jemalloc 5.3.0 "$lib/libjemalloc.so.2"
    ask tcmalloc 2.10 "$lib/libtcmalloc_minimal.so.4"
    ask glibc 2.36
    ask mimalloc 2.0.9 "$lib/libmimalloc.so.2.0"
    debian trixie libc6=2.41-12+deb13u5 libstdc++6=14.2.0-19 libgcc-s1=14.2.0-19 \
        libmimalloc3=3.0.1+ds-2.1 libmimalloc-dev=3.0.1+ds-2.1 \
        libtcmalloc-minimal4t64=2.16-1 libgoogle-perftools-dev=2.16-1
    ask tcmalloc 2.16 "$lib/libtcmalloc_minimal.so.4"
    ask glibc 2.41
    ask mimalloc 3.0.1 "$lib/libmimalloc.so.3"
    debian forky libc6=2.43-7 libstdc++6=16.2.0-3 libgcc-s1=16.2.0-3 \
        libjemalloc2=5.3.1-2 libjemalloc-dev=5.3.1-2 libmimalloc3=3.6.0+ds-1 libmimalloc-dev=3.6.0+ds-1 \
        libtcmalloc-minimal4t64=2.18.1-2 libgoogle-perftools-dev=2.18.1-2
    ask jemalloc 5.3.1 "$lib/libjemalloc.so.2"
    ask tcmalloc 2.18.1 "$lib/libtcmalloc_minimal.so.4"
    ask glibc 2.43
    ask mimalloc 3.6.0 "$lib/libmimalloc.so.3"
} | expect 'jemalloc 5.3.0: data 11; sizes 112 1024 114688 1048576 10485760
  allocated +0.0 %; written 64 64; freed 64 64; purged 0 0
tcmalloc 2.10: data 11; sizes 112 1024 106496 1007616 10002432
  allocated +0.0 %; written 64 64; freed 64 64; purged 0 0
glibc 2.36: data 1; sizes 104 1000 100008 1003504 10002416
  allocated +0.8 %; written 64 64; freed 0 0; purged 0 0
mimalloc 2.0.9: data 33; sizes 112 1024 114688 1048576 10485760
  allocated unknown; written 96 64; freed 96 64; purged 0 0
tcmalloc 2.16: data 11; sizes 112 1024 106496 1007616 10002432
  allocated +0.0 %; written 64 64; freed 64 64; purged 0 0
glibc 2.41: data 1; sizes 104 1000 100008 1003504 10002416
  allocated +0.8 %; written 64 64; freed 0 0; purged 0 0
mimalloc 3.0.1: data 1027; sizes 112 1024 114688 1048576 10485760
  allocated unknown; written 48 64; freed 48 64; purged -16 0
jemalloc 5.3.1: data 11; sizes 112 1024 102400 1003520 10002432
  allocated +0.0 %; written 64 64; freed 64 64; purged 0 0
tcmalloc 2.18.1: data 11; sizes 112 1024 106496 1007616 10002432
  allocated +0.0 %; written 64 64; freed 64 64; purged 0 0
glibc 2.43: data 1; sizes 104 1000 100008 1003496 10002408
  allocated +0.8 %; written 64 64; freed 0 0; purged 0 0
mimalloc 3.6.0: data 1027; sizes 112 1024 114688 1048576 10485760
  allocated unknown; written 48 64; freed 48 64; purged 48 0'
