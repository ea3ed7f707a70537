#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds jemalloc in a folder of its own, and copies what is wanted of it out. Usage:
#   build.sh configure HEADER WORK SOURCE SETTING... -- COMPILER...
#   build.sh make ARCHIVE WORK NAME [FLAG...]     NAME: what jemalloc's Makefile calls the archive
set -eu

# Whoever installs zmalloc must not install jemalloc too, nor pass their make's settings on.
unset DESTDIR MAKEFLAGS MAKELEVEL MFLAGS

what=$1
result=$(realpath "$(dirname "$2")")/$(basename "$2")
mkdir -p "$3"
work=$(realpath "$3")
log=$work/build.log

step() {
    echo "jemalloc: $1 (log: $log)"
    shift
    "$@" >>"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        echo "jemalloc: this failed; the whole log is $log" >&2
        exit 1
    }
}

if [ "$what" = make ]; then
    name=$4
    shift 4
    cd "$work"
    step "compiling, about a minute" make -j "$(getconf _NPROCESSORS_ONLN)" "lib/$name" EXTRA_CFLAGS="-g1 $*"
    cp "lib/$name" "$result"
    exit
fi

source=$(realpath "$4")
shift 4
settings=
while [ "$1" != -- ]; do
    settings="$settings $1"
    shift
done
shift
compiler=$*

# Nothing stays of an earlier build. The name of the link is all that configure and make see of where the source is.
cd "$work"
rm -rf source src include lib
ln -s "$source" source

# A release has it. It is made here, as the source may be one that can't be written to.
: >"$log"
configure=source/configure
if [ ! -e "$configure" ]; then
    configure=configure
    (cd source && step "making configure by autoconf" autoconf --output="$work/configure" configure.ac)
fi

# By default the version is taken from the tags of whatever git repository this folder is in.
# shellcheck disable=SC2086 # a list of words
step "configuring, about 20 seconds" sh "$configure" --srcdir=source CC="$compiler" $settings --with-version=VERSION \
    --with-jemalloc-prefix=je_ --disable-initial-exec-tls --disable-cxx
cp include/jemalloc/jemalloc.h "$result"
