#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Linux: a library that links an allocator does not get its malloc, nor does the program that links the library.
#
# Versions: Debian's libc6 2.36-9+deb12u14, libjemalloc2 5.3.0-1, libtcmalloc-minimal4 2.10-1 and libmimalloc2.0
# 2.0.9+ds-2 (bookworm).
# The loader looks a name up in the program, then in what the program links, in that order, and only then in what
# those libraries link. The C library is among the program's own, so malloc is found there first. The allocator is
# loaded and serves nobody. Where the program links it too, its malloc is everybody's.
. "$(dirname "$0")/debian.sh"

debian bookworm libc6=2.36-9+deb12u14 libstdc++6=12.2.0-14+deb12u1 libgcc-s1=12.2.0-14+deb12u1 libjemalloc2=5.3.0-1 \
    libtcmalloc-minimal4=2.10-1 libmimalloc2.0=2.0.9+ds-2

cat > "$work/library.c" << 'C'
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

const char *whose_malloc(void *address)
{
    Dl_info info;
    if (address == NULL) address = (void *)malloc;
    return dladdr(address, &info) != 0 ? strrchr(info.dli_fname, '/') + 1 : "nobody";
}
C
cat > "$work/program.c" << 'C'
#include <stdio.h>
#include <stdlib.h>

const char *whose_malloc(void *address);

int main(int argc, char **argv)
{
    (void)argc;
    printf("%s: its malloc is %s's", argv[1], whose_malloc(NULL));
    printf(", the program's is %s's\n", whose_malloc((void *)malloc));
}
C

# ask NAME LIBRARY
ask() {
    compile "$work/libuser.so" -shared -fPIC "$lib/$2" < "$work/library.c"
    compile "$work/program" "$work/libuser.so" < "$work/program.c"
    run "$work/program" "$1, linked by the library"
    compile "$work/program" "$work/libuser.so" "$lib/$2" < "$work/program.c"
    run "$work/program" "$1, linked by both"
}

{
    ask jemalloc libjemalloc.so.2
    ask tcmalloc libtcmalloc_minimal.so.4
    ask mimalloc libmimalloc.so.2.0
} | expect "jemalloc, linked by the library: its malloc is libc.so.6's, the program's is libc.so.6's
jemalloc, linked by both: its malloc is libjemalloc.so.2's, the program's is libjemalloc.so.2's
tcmalloc, linked by the library: its malloc is libc.so.6's, the program's is libc.so.6's
tcmalloc, linked by both: its malloc is libtcmalloc_minimal.so.4's, the program's is libtcmalloc_minimal.so.4's
mimalloc, linked by the library: its malloc is libc.so.6's, the program's is libc.so.6's
mimalloc, linked by both: its malloc is libmimalloc.so.2's, the program's is libmimalloc.so.2's"
