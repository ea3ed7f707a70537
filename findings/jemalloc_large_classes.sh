#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# jemalloc 5.3.1 rounds large blocks to whole pages; 5.3.0 rounds them to size classes, four a doubling.
#
# Versions: Debian's libjemalloc2 5.3.0-1 (bookworm) and 5.3.1-2 (forky).
# A block of 100,000 bytes has 114,688 with 5.3.0 and 102,400 with 5.3.1, one of 5,000,000 has 5,242,880 and
# 5,001,216. Small sizes are as before. A program that adds up usable sizes reads less memory in use after the
# upgrade, with the same data; one that relies on the rest of a class for growing in place has less of it.
. "$(dirname "$0")/debian.sh"

ask() {
    compile "$work/ask" "$lib/libjemalloc.so.2" << 'C'
#include <jemalloc/jemalloc.h>
#include <stdio.h>

int main(void)
{
    const size_t sizes[] = {100, 3000, 10000, 20481, 100000, 1000000, 5000000};
    const char *version;
    size_t length = sizeof version;
    mallctl("version", &version, &length, NULL, 0);
    printf("jemalloc %.5s\n", version);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        printf("  %zu: %zu\n", sizes[i], malloc_usable_size(malloc(sizes[i])));
}
C
    run "$work/ask"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libjemalloc2=5.3.0-1 libjemalloc-dev=5.3.0-1
    ask
    debian forky libc6=2.43-7 libjemalloc2=5.3.1-2 libjemalloc-dev=5.3.1-2
    ask
} | expect 'jemalloc 5.3.0
  100: 112
  3000: 3072
  10000: 10240
  20481: 24576
  100000: 114688
  1000000: 1048576
  5000000: 5242880
jemalloc 5.3.1
  100: 112
  3000: 3072
  10000: 10240
  20481: 24576
  100000: 102400
  1000000: 1003520
  5000000: 5001216'
