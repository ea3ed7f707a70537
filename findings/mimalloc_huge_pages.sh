#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mimalloc 3.6.0 asks the kernel for huge pages by itself, and a collect then leaves memory among few blocks resident.
#
# Versions: Debian's libmimalloc2.0 2.0.9+ds-2 (bookworm), libmimalloc3 3.0.1+ds-2.1 (trixie) and 3.6.0+ds-1 (forky).
# Many systems give huge pages only to who asks for them (madvise in /sys/kernel/mm/transparent_hugepage/enabled). A
# program with one block of 3.6.0 asks for them for 1 GiB; the other two versions ask for none, and so does 3.6.0 with
# MIMALLOC_ALLOW_THP=0. With 80 MiB in blocks of 1,000 bytes, of which one in a thousand is left, mi_collect(true)
# gives back nothing of 3.6.0's, and nearly all with that variable set.
. "$(dirname "$0")/debian.sh"

cat > "$work/ask.c" << 'C'
#include <mimalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 80 << 10, SIZE = 1000 };
static void *blocks[COUNT];
static long resident, asked; /* in KiB */

static void look(void)
{
    char line[300];
    long size = 0, figure;
    FILE *smaps = fopen("/proc/self/smaps", "r");
    resident = asked = 0;
    while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL) {
        if (sscanf(line, "Size: %ld", &figure) == 1) size = figure;
        if (sscanf(line, "Rss: %ld", &figure) == 1) resident += figure;
        if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " hg") != NULL) asked += size;
    }
    fclose(smaps);
}

int main(int argc, char **argv)
{
    (void)argc;
    mi_free(mi_malloc(1));
    look();
    long before = resident;
    printf("mimalloc %s, %s: huge pages for %ld MiB", argv[1], argv[2], asked >> 10);
    for (int i = 0; i < COUNT; i++) blocks[i] = memset(mi_malloc(SIZE), 1, SIZE);
    look();
    long full = resident;
    for (int i = 0; i < COUNT; i++) if (i % 1000 != 0) mi_free(blocks[i]);
    mi_collect(true);
    look();
    printf("; after a collect %s\n", (double)(resident - before) < 0.5 * (double)(full - before) ? "gone" : "kept");
}
C
# ask VERSION LIBRARY: 2.0.9 is not asked about the collect, as it gives back whole segments of 32 MiB alone.
ask() {
    compile "$work/ask" "$lib/$2" < "$work/ask.c"
    run "$work/ask" "$1" "as it is"
    MIMALLOC_ALLOW_THP=0 run "$work/ask" "$1" "told not to"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libmimalloc2.0=2.0.9+ds-2 libmimalloc-dev=2.0.9+ds-2
    ask 2.0.9 libmimalloc.so.2.0 | sed 's/;.*//'
    debian trixie libc6=2.41-12+deb13u5 libmimalloc3=3.0.1+ds-2.1 libmimalloc-dev=3.0.1+ds-2.1
    ask 3.0.1 libmimalloc.so.3
    debian forky libc6=2.43-7 libmimalloc3=3.6.0+ds-1 libmimalloc-dev=3.6.0+ds-1
    ask 3.6.0 libmimalloc.so.3
} | expect 'mimalloc 2.0.9, as it is: huge pages for 0 MiB
mimalloc 2.0.9, told not to: huge pages for 0 MiB
mimalloc 3.0.1, as it is: huge pages for 0 MiB; after a collect gone
mimalloc 3.0.1, told not to: huge pages for 0 MiB; after a collect gone
mimalloc 3.6.0, as it is: huge pages for 1024 MiB; after a collect kept
mimalloc 3.6.0, told not to: huge pages for 0 MiB; after a collect gone'
