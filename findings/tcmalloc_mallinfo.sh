#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# gperftools: which of mallinfo and mallinfo2 tcmalloc answers changes with every Debian.
#
# Versions: Debian's libtcmalloc-minimal4 2.10-1 (bookworm), libtcmalloc-minimal4t64 2.16-1 (trixie) and 2.18.1-2
# (forky).
# In a program that links tcmalloc, malloc is tcmalloc's in all three. 2.10 answers mallinfo and leaves mallinfo2 to
# glibc, which knows of no block. 2.16 answers both. 2.18.1 answers neither, so that both say 0 bytes with 10 MB in
# use. A program that reads mallinfo2 can't conclude from its answer which allocator is there.
. "$(dirname "$0")/debian.sh"

ask() {
    compile "$work/ask" "$lib/libtcmalloc_minimal.so.4" << 'C'
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <gperftools/tcmalloc.h>

static const char *home(const char *name)
{
    Dl_info info;
    void *address = dlsym(RTLD_DEFAULT, name);
    if (address == NULL || dladdr(address, &info) == 0) return "nobody";
    return strrchr(info.dli_fname, '/') + 1;
}

int main(void)
{
    static void *blocks[10000];
    int major, minor;
    for (int i = 0; i < 10000; i++) blocks[i] = malloc(1000);
    const char *patch = "";
    (void)tc_version(&major, &minor, &patch);
    printf("gperftools %d.%d%s: malloc is %s's\n", major, minor, patch, home("malloc"));
    const char *words[] = {"far less", "over 10 MB"};
    printf("  mallinfo is %s's, %s\n", home("mallinfo"), words[mallinfo().uordblks > 10000000]);
    printf("  mallinfo2 is %s's, %s\n", home("mallinfo2"), words[mallinfo2().uordblks > 10000000]);
}
C
    run "$work/ask"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libstdc++6=12.2.0-14+deb12u1 libgcc-s1=12.2.0-14+deb12u1 \
        libtcmalloc-minimal4=2.10-1 libgoogle-perftools-dev=2.10-1
    ask
    debian trixie libc6=2.41-12+deb13u5 libstdc++6=14.2.0-19 libgcc-s1=14.2.0-19 \
        libtcmalloc-minimal4t64=2.16-1 libgoogle-perftools-dev=2.16-1
    ask
    debian forky libc6=2.43-7 libstdc++6=16.2.0-3 libgcc-s1=16.2.0-3 \
        libtcmalloc-minimal4t64=2.18.1-2 libgoogle-perftools-dev=2.18.1-2
    ask
} | expect 'gperftools 2.10: malloc is libtcmalloc_minimal.so.4'\''s
  mallinfo is libtcmalloc_minimal.so.4'\''s, over 10 MB
  mallinfo2 is libc.so.6'\''s, far less
gperftools 2.16: malloc is libtcmalloc_minimal.so.4'\''s
  mallinfo is libtcmalloc_minimal.so.4'\''s, over 10 MB
  mallinfo2 is libtcmalloc_minimal.so.4'\''s, over 10 MB
gperftools 2.18.1: malloc is libtcmalloc_minimal.so.4'\''s
  mallinfo is libc.so.6'\''s, far less
  mallinfo2 is libc.so.6'\''s, far less'
