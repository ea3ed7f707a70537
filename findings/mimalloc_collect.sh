#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mimalloc: freed small blocks stay resident for good, and what mi_collect(false) gives back depends on the version.
#
# Versions: Debian's libmimalloc2.0 2.0.9+ds-2 (bookworm), libmimalloc3 3.0.1+ds-2.1 (trixie) and 3.6.0+ds-1 (forky).
# 80 MiB in blocks of 1,000 bytes are freed. Three seconds and 100,000 pairs of mi_malloc and mi_free later nothing is
# gone. Then mi_collect(false) gives back over half with 2.0.9, nearly all with 3.0.1, and nothing with 3.6.0 that was
# told not to ask for huge pages. mi_collect(true) gives back nearly all at once, and with 2.0.9 over half. A block of
# 80 MiB goes back as it is freed.
. "$(dirname "$0")/debian.sh"

cat > "$work/ask.c" << 'C'
#include <mimalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 80 << 10, SIZE = 1000, LARGE = 80 << 20 };
static void *blocks[COUNT];
static long before, full;

static long resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) exit(1);
    fclose(file);
    return pages * 4096;
}

static const char *kept(void)
{
    double part = (double)(resident() - before) / (double)(full - before);
    return part < 0.1 ? "gone" : part < 0.75 ? "a part" : "kept";
}

static void fill(void)
{
    before = resident();
    for (int i = 0; i < COUNT; i++) blocks[i] = memset(mi_malloc(SIZE), 1, SIZE);
    full = resident();
    for (int i = 0; i < COUNT; i++) mi_free(blocks[i]);
}

int main(int argc, char **argv)
{
    (void)argc;
    mi_free(mi_malloc(1));
    (void)resident();
    printf("mimalloc %s, %s", argv[1], argv[2]);
    if (strcmp(argv[2], "a large block") == 0) {
        before = resident();
        void *block = memset(mi_malloc(LARGE), 1, LARGE);
        full = resident();
        mi_free(block);
        printf(": freed %s\n", kept());
    } else if (strcmp(argv[2], "forced") == 0) {
        fill();
        mi_collect(true);
        printf(": mi_collect(true) %s\n", kept());
    } else {
        fill();
        sleep(3);
        for (int i = 0; i < 100000; i++) mi_free(mi_malloc(100));
        printf(": 3 seconds %s", kept());
        mi_collect(false);
        printf(", mi_collect(false) %s\n", kept());
    }
}
C
ask() {
    compile "$work/ask" "$lib/$2" < "$work/ask.c"
    for how in patient forced "a large block"; do MIMALLOC_ALLOW_THP=0 run "$work/ask" "$1" "$how"; done
}

{
    debian bookworm libc6=2.36-9+deb12u14 libmimalloc2.0=2.0.9+ds-2 libmimalloc-dev=2.0.9+ds-2
    ask 2.0.9 libmimalloc.so.2.0
    debian trixie libc6=2.41-12+deb13u5 libmimalloc3=3.0.1+ds-2.1 libmimalloc-dev=3.0.1+ds-2.1
    ask 3.0.1 libmimalloc.so.3
    debian forky libc6=2.43-7 libmimalloc3=3.6.0+ds-1 libmimalloc-dev=3.6.0+ds-1
    ask 3.6.0 libmimalloc.so.3
} | expect 'mimalloc 2.0.9, patient: 3 seconds kept, mi_collect(false) a part
mimalloc 2.0.9, forced: mi_collect(true) a part
mimalloc 2.0.9, a large block: freed gone
mimalloc 3.0.1, patient: 3 seconds kept, mi_collect(false) gone
mimalloc 3.0.1, forced: mi_collect(true) gone
mimalloc 3.0.1, a large block: freed gone
mimalloc 3.6.0, patient: 3 seconds kept, mi_collect(false) kept
mimalloc 3.6.0, forced: mi_collect(true) gone
mimalloc 3.6.0, a large block: freed gone'
