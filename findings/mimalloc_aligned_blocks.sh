#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mimalloc 3.0.1: blocks that are aligned change their usable size while they live, and other blocks overlap them.
#
# Versions: Debian's libmimalloc2.0 2.0.9+ds-2 (bookworm), libmimalloc3 3.0.1+ds-2.1 (trixie) and 3.6.0+ds-1 (forky).
# One thread makes and frees blocks, half of them aligned, and fills each with a byte of its own. With 3.0.1 the first
# usable sizes change after some hundred calls, and the first block is overwritten after some thousand. The other two
# bear 300,000 calls. Only mi_malloc_aligned_at, mi_malloc and mi_free are called.
. "$(dirname "$0")/debian.sh"

mix() {
    compile "$work/mix" "$lib/$1" << 'C'
#include <mimalloc.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BLOCKS = 4000, CALLS = 300000 };

static struct { unsigned char *start, byte; size_t size, usable; } blocks[BLOCKS];
static uint64_t state = 1;

static size_t below(size_t bound)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t) (state >> 33) % bound;
}

int main(void)
{
    int changed = 0;
    int overwritten = 0;
    for (int call = 0; call < CALLS && !overwritten; call++) {
        int i = (int) below(BLOCKS);
        unsigned char *start = blocks[i].start;
        if (start != NULL) {
            changed |= mi_usable_size(start) != blocks[i].usable;
            for (size_t at = 0; at < blocks[i].size; at++) overwritten |= start[at] != blocks[i].byte;
            mi_free(start);
            blocks[i].start = NULL;
            continue;
        }
        size_t size = 1 + below((size_t) 1 << (4 + below(14)));
        size_t alignment = (size_t) 1 << (4 + below(10));
        start = below(2) ? mi_malloc_aligned_at(size, alignment, 0) : mi_malloc(size);
        blocks[i].start = start;
        blocks[i].size = size;
        blocks[i].usable = mi_usable_size(start);
        blocks[i].byte = (unsigned char) below(256);
        memset(start, blocks[i].byte, size);
    }
    printf("mimalloc %d: %s, %s\n", mi_version(), changed ? "sizes change" : "sizes stay",
           overwritten ? "a block is overwritten" : "contents stay");
}
C
    run "$work/mix"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libmimalloc2.0=2.0.9+ds-2 libmimalloc-dev=2.0.9+ds-2
    mix libmimalloc.so.2.0
    debian trixie libc6=2.41-12+deb13u5 libmimalloc3=3.0.1+ds-2.1 libmimalloc-dev=3.0.1+ds-2.1
    mix libmimalloc.so.3
    debian forky libc6=2.43-7 libmimalloc3=3.6.0+ds-1 libmimalloc-dev=3.6.0+ds-1
    mix libmimalloc.so.3
} | expect 'mimalloc 209: sizes stay, contents stay
mimalloc 301: sizes change, a block is overwritten
mimalloc 30600: sizes stay, contents stay'
