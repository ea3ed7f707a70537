#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# gperftools: tcmalloc gives next to nothing back at its default release rate, and little at ten times that.
#
# Versions: Debian's libtcmalloc-minimal4 2.10-1 (bookworm), libtcmalloc-minimal4t64 2.16-1 (trixie) and 2.18.1-2
# (forky).
# A program makes 128 MB in blocks of 10,000 to 1,010,000 bytes, frees all of them in another order, and does so again
# until it has freed 16 GB. At the end nothing is in use. Of about 130 MB that are free, nothing was given back at a
# rate of 0; 0.1 or 0.2 MB at 1, which is the default; 3 to 4 MB at 10; and 15 to 17 MB at 100. The rate is from
# TCMALLOC_RELEASE_RATE. From 2.16 on a program in C can set it too, with the same result. 2.10 has that call in C++
# only.
. "$(dirname "$0")/debian.sh"

ask() {
    compile "$work/ask" "$lib/libtcmalloc_minimal.so.4" << 'C'
#include <gperftools/malloc_extension_c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void MallocExtension_SetMemoryReleaseRate(double rate) __attribute__((weak));

static double megabytes(const char *name)
{
    size_t value = 0;
    if (!MallocExtension_GetNumericProperty(name, &value)) exit(1);
    return (double)value / 1e6;
}

static size_t make_and_free(size_t bytes)
{
    static char *blocks[20000];
    size_t made = 0;
    int count = 0;
    while (made < bytes) {
        size_t size = 10000 + (size_t)(random() % 1000000);
        blocks[count++] = memset(malloc(size), 1, size);
        made += size;
    }
    for (; count > 0; count--) {
        int chosen = (int)(random() % count);
        free(blocks[chosen]);
        blocks[chosen] = blocks[count - 1];
    }
    return made;
}

int main(int argc, char **argv)
{
    const char *rate = getenv("TCMALLOC_RELEASE_RATE");
    int by_call = argc > 1;
    if (by_call && MallocExtension_SetMemoryReleaseRate == NULL) {
        printf("  there is no call in C\n");
        return 0;
    }
    if (by_call) MallocExtension_SetMemoryReleaseRate(atof(rate = argv[1]));
    for (size_t freed = 0; freed < 16000000000;) freed += make_and_free(128000000);
    printf("  %s%s: free %.1f MB, given back %.1f MB\n", rate ? rate : "default", by_call ? " by a call" : "",
        megabytes("tcmalloc.pageheap_free_bytes"), megabytes("tcmalloc.pageheap_unmapped_bytes"));
}
C
    echo "gperftools $1"
    run "$work/ask"
    for rate in 0 1 10 100; do TCMALLOC_RELEASE_RATE=$rate run "$work/ask"; done
    run "$work/ask" 10
    ! grep -q SetMemoryReleaseRate "$root/usr/include/gperftools/malloc_extension.h" || echo "  there is one in C++"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libstdc++6=12.2.0-14+deb12u1 libgcc-s1=12.2.0-14+deb12u1 \
        libtcmalloc-minimal4=2.10-1 libgoogle-perftools-dev=2.10-1
    ask 2.10
    debian trixie libc6=2.41-12+deb13u5 libstdc++6=14.2.0-19 libgcc-s1=14.2.0-19 \
        libtcmalloc-minimal4t64=2.16-1 libgoogle-perftools-dev=2.16-1
    ask 2.16
    debian forky libc6=2.43-7 libstdc++6=16.2.0-3 libgcc-s1=16.2.0-3 \
        libtcmalloc-minimal4t64=2.18.1-2 libgoogle-perftools-dev=2.18.1-2
    ask 2.18.1
} | expect 'gperftools 2.10
  default: free 129.6 MB, given back 0.2 MB
  0: free 128.8 MB, given back 0.0 MB
  1: free 129.6 MB, given back 0.2 MB
  10: free 129.9 MB, given back 3.1 MB
  100: free 122.1 MB, given back 15.1 MB
  there is no call in C
  there is one in C++
gperftools 2.16
  default: free 128.7 MB, given back 0.1 MB
  0: free 128.8 MB, given back 0.0 MB
  1: free 128.7 MB, given back 0.1 MB
  10: free 127.7 MB, given back 4.3 MB
  100: free 121.5 MB, given back 16.8 MB
  10 by a call: free 127.7 MB, given back 4.3 MB
  there is one in C++
gperftools 2.18.1
  default: free 128.7 MB, given back 0.1 MB
  0: free 128.8 MB, given back 0.0 MB
  1: free 128.7 MB, given back 0.1 MB
  10: free 129.4 MB, given back 2.6 MB
  100: free 120.4 MB, given back 16.8 MB
  10 by a call: free 129.4 MB, given back 2.6 MB
  there is one in C++'
