#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# glibc 2.43 has C23's free_sized, mimalloc 3.6.0 has not: malloc and free_sized are answered by different allocators.
#
# Versions, all of forky: Debian's libc6 2.43-7, libjemalloc2 5.3.1-2, libtcmalloc-minimal4t64 2.18.1-2, libmimalloc3
# 3.6.0+ds-1.
# Who preloads or links an allocator takes it that all frees go there. jemalloc 5.3.1 and gperftools 2.18.1 have
# free_sized and free_aligned_sized. With mimalloc the dynamic linker finds glibc's, which is told of blocks that
# glibc never made. This script only asks who would answer; it frees nothing.
. "$(dirname "$0")/debian.sh"

ask() {
    compile "$work/ask" "$@" << 'C'
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char *home(const char *name)
{
    Dl_info info;
    void *address = dlsym(RTLD_DEFAULT, name);
    if (address == NULL || dladdr(address, &info) == 0) return "nobody";
    return strrchr(info.dli_fname, '/') + 1;
}

int main(void)
{
    printf("malloc: %s, free_sized: %s, free_aligned_sized: %s\n", home("malloc"), home("free_sized"),
        home("free_aligned_sized"));
}
C
    run "$work/ask"
}

{
    debian forky libc6=2.43-7 libstdc++6=16.2.0-3 libgcc-s1=16.2.0-3 libjemalloc2=5.3.1-2 \
        libtcmalloc-minimal4t64=2.18.1-2 libmimalloc3=3.6.0+ds-1
    ask
    ask "$lib/libjemalloc.so.2"
    ask "$lib/libtcmalloc_minimal.so.4"
    ask "$lib/libmimalloc.so.3"
} | expect 'malloc: libc.so.6, free_sized: libc.so.6, free_aligned_sized: libc.so.6
malloc: libjemalloc.so.2, free_sized: libjemalloc.so.2, free_aligned_sized: libjemalloc.so.2
malloc: libtcmalloc_minimal.so.4, free_sized: libtcmalloc_minimal.so.4, free_aligned_sized: libtcmalloc_minimal.so.4
malloc: libmimalloc.so.3, free_sized: libc.so.6, free_aligned_sized: libc.so.6'
