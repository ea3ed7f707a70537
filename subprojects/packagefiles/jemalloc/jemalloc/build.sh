#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Configures and makes jemalloc in a folder of its own, then copies the archive and the header out.
# Usage: build.sh SOURCE WORK OUT SETTING... -- COMPILER...
set -eu

source=$(realpath "$1")
mkdir -p "$2"
work=$(realpath "$2")
out=$(realpath "$3")
shift 3
settings=
while [ "$1" != -- ]; do
    settings="$settings $1"
    shift
done
shift
compiler=$*

# Whoever installs zmalloc must not install jemalloc too, nor pass their make's settings on.
unset DESTDIR MAKEFLAGS MAKELEVEL MFLAGS

cd "$work"
log=$work/build.log

# Nothing stays of an earlier build. The name of the link is all that configure and make see of where the source is.
rm -rf source src include lib
ln -s "$source" source

step() {
    echo "jemalloc: $1 (log: $log)"
    shift
    "$@" >>"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        echo "jemalloc: this failed; the whole log is $log" >&2
        exit 1
    }
}

: >"$log"
# shellcheck disable=SC2086 # a list of words
step "configuring, about 20 seconds" sh source/configure CC="$compiler" $settings \
    --with-jemalloc-prefix=je_ --disable-initial-exec-tls --disable-cxx EXTRA_CFLAGS=-g1
step "compiling, about a minute" make -j "$(getconf _NPROCESSORS_ONLN)" lib/libjemalloc_pic.a
cp lib/libjemalloc_pic.a "$out/libzmalloc-jemalloc.a"
cp include/jemalloc/jemalloc.h "$out/jemalloc.h"
