#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mimalloc 2.0.9 and 3.0.1: the same aligned request has a different usable size each time.
#
# Versions: Debian's libmimalloc2.0 2.0.9+ds-2 (bookworm), libmimalloc3 3.0.1+ds-2.1 (trixie) and 3.6.0+ds-1 (forky).
# 100 bytes aligned to 4,096 are cut out of a larger block, and mi_usable_size is what is left behind the aligned
# address: in turn 5120, 2048, 3072, 4096 bytes with 2.0.9 and 1152, 2176, 3200, 4224 with 3.0.1, so a program that
# adds up usable sizes gets another sum for the same requests. 3.6.0 says 4096 each time. Aligned to 16,
# the same 100 bytes have 128 in the older two and 112 in 3.6.0, each time.
. "$(dirname "$0")/debian.sh"

ask() {
    compile "$work/ask" "$lib/$1" << 'C'
#include <mimalloc.h>
#include <stdio.h>

int main(void)
{
    printf("mimalloc %d:", mi_version());
    for (int i = 0; i < 6; i++) printf(" %zu", mi_usable_size(mi_malloc_aligned(100, 4096)));
    printf(", aligned to 16:");
    for (int i = 0; i < 3; i++) printf(" %zu", mi_usable_size(mi_malloc_aligned(100, 16)));
    puts("");
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
} | expect 'mimalloc 209: 5120 2048 3072 4096 5120 2048, aligned to 16: 128 128 128
mimalloc 301: 1152 2176 3200 4224 1152 2176, aligned to 16: 128 128 128
mimalloc 30600: 4096 4096 4096 4096 4096 4096, aligned to 16: 112 112 112'
