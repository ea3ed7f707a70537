#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# glibc 2.43: mallinfo2's hblkhd, the bytes in mapped blocks, never comes back to 0 once mapped blocks were resized.
#
# Versions: Debian's libc6 2.43-7 (forky) beside 2.41-12+deb13u5 (trixie).
# Each realloc that resizes a mapping adds 16 bytes to hblkhd that no free takes off. 4,000 reallocs of one block at a
# time leave 64,000 bytes in 0 mapped blocks. With 2.41 the sum is 0. Who adds hblkhd to uordblks for the bytes in use
# has an error that grows with the program's age.
. "$(dirname "$0")/debian.sh"

resize() {
    compile "$work/resize" << 'C'
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    for (int i = 0; i < 2000; i++) {
        void *block = malloc(300000);
        block = realloc(block, 600000);
        block = realloc(block, 300000);
        free(block);
    }
    struct mallinfo2 info = mallinfo2();
    printf("glibc %s: %zu mapped blocks with %zu bytes\n", gnu_get_libc_version(), info.hblks, info.hblkhd);
}
C
    run "$work/resize"
}

{
    debian trixie libc6=2.41-12+deb13u5
    resize
    debian forky libc6=2.43-7
    resize
} | expect 'glibc 2.41: 0 mapped blocks with 0 bytes
glibc 2.43: 0 mapped blocks with 64000 bytes'
