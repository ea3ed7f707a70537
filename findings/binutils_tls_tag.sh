#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# binutils 2.47, x86-64: a library with TLS descriptors may need a newer glibc than all that it calls is from.
#
# Versions: Debian's binutils-x86-64-linux-gnu 2.47.50.20261021-1 with libc6 2.43-7 (forky), and libc6 2.36-9+deb12u14
# (bookworm) and 2.41-12+deb13u5 (trixie).
# The library has one function, which calls getpid and returns the address of a thread-local variable. It is compiled
# once, with -mtls-dialect=gnu2. Where the C library has the version GLIBC_ABI_GNU2_TLS, this linker adds it to those
# that the library needs, and a loader without it refuses the library: Debian 12's does, and Debian 13's has it. The
# linker's option --no-gnu2-tls-tag leaves it out, and Debian 12 loads the library then.
. "$(dirname "$0")/debian.sh"

cc -x c -O1 -fPIC -mtls-dialect=gnu2 -c -o "$work/where.o" - << 'C'
int getpid(void);
static __thread int x;
int *where(void);
int *where(void)
{
    return getpid() > 0 ? &x : 0;
}
C

# link OUTPUT WORDS…: the library, by the unpacked linker; and whether it needs that version.
link() {
    run "$root/usr/bin/x86_64-linux-gnu-ld.bfd" -shared -o "$work/$@" "$work/where.o" "$lib/libc.so.6"
    readelf -V "$work/$1" | grep -q GLIBC_ABI_GNU2_TLS && echo "$1: needs it" || echo "$1: does not need it"
}

# load LIBRARY: whether the unpacked loader takes it.
load() {
    said=$(run --preload "$work/$1" "$root/usr/bin/getconf" PAGESIZE 2>&1 >/dev/null) || true
    case $said in
    "") echo "  $1: loaded" ;;
    *GLIBC_ABI_GNU2_TLS*"not found"*) echo "  $1: refused" ;;
    *) echo "$said" ;;
    esac
}

{
    debian forky libc6=2.43-7 binutils-x86-64-linux-gnu=2.47.50.20261021-1 libbinutils=2.47.50.20261021-1 \
        libctf0=2.47.50.20261021-1 libctf-nobfd0=2.47.50.20261021-1 libsframe3=2.47.50.20261021-1 \
        libjansson4=2.15.1-1 libzstd1=1.5.7+dfsg-4 zlib1g=1:1.3.dfsg+really1.3.2-3
    link tagged.so
    link untagged.so --no-gnu2-tls-tag
    debian bookworm libc6=2.36-9+deb12u14 libc-bin=2.36-9+deb12u14
    echo "glibc 2.36"
    load tagged.so
    load untagged.so
    debian trixie libc6=2.41-12+deb13u5 libc-bin=2.41-12+deb13u5
    echo "glibc 2.41"
    load tagged.so
} | expect 'tagged.so: needs it
untagged.so: does not need it
glibc 2.36
  tagged.so: refused
  untagged.so: loaded
glibc 2.41
  tagged.so: loaded'
