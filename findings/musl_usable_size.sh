#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# musl: malloc_usable_size is exactly what was asked for, though the block has more room.
#
# Versions: Debian's musl 1.2.6-1 and libc6 2.43-7 (forky).
# With glibc the usable size is the room that the block has, and servers count it as their memory in use. musl returns
# the request itself, so such a count is blind to what the blocks cost: a million blocks of 1 byte count 1 MB and take
# over 15 MB.
. "$(dirname "$0")/debian.sh"

cat > "$work/ask.c" << 'C'
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static long resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) return 0;
    fclose(file);
    return pages * 4096;
}

int main(void)
{
    const size_t sizes[] = {1, 13, 100, 5001, 200001};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t usable = malloc_usable_size(malloc(sizes[i]));
        printf("  %zu: %s\n", sizes[i], usable == sizes[i] ? "the same" : "more");
    }
    long before = resident();
    size_t counted = 0;
    for (int i = 0; i < 1000000; i++) {
        char *block = malloc(1);
        *block = 1;
        counted += malloc_usable_size(block);
    }
    printf("  a million of 1 count %zu MB and take %s\n", counted / 1000000,
        resident() - before > 15000000 ? "over 15 MB" : "less");
}
C
{
    debian forky libc6=2.43-7 musl=1.2.6-1 musl-dev=1.2.6-1
    echo glibc
    compile "$work/ask" < "$work/ask.c"
    run "$work/ask"
    echo musl
    musl=$(uname -m)-linux-musl
    libs=$root/usr/lib/$musl
    cc -O1 -fno-builtin -nostdinc -isystem "$root/usr/include/$musl" -nostdlib -static -no-pie -o "$work/ask" \
        "$libs/crt1.o" "$libs/crti.o" "$work/ask.c" "$libs/libc.a" -lgcc "$libs/crtn.o"
    "$work/ask"
} | expect 'glibc
  1: more
  13: more
  100: more
  5001: more
  200001: more
  a million of 1 count 24 MB and take over 15 MB
musl
  1: the same
  13: the same
  100: the same
  5001: the same
  200001: the same
  a million of 1 count 1 MB and take over 15 MB'
