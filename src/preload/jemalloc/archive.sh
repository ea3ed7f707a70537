#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds jemalloc once more, from the folder that it was configured in: archive.sh ARCHIVE CONFIGURED WORK
set -eu
unset DESTDIR MAKEFLAGS MAKELEVEL MFLAGS
result=$(realpath "$(dirname "$1")")/$(basename "$1")
rm -rf "$3"
cp -a "$2" "$3"
cd "$3"
rm -f src/*.o src/*.d lib/*
log=$PWD/build.log
echo "jemalloc for preload: compiling, about a minute (log: $log)"
make -j "$(getconf _NPROCESSORS_ONLN)" lib/libjemalloc_pic.a EXTRA_CFLAGS="-g1 -ftls-model=initial-exec" \
    >"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    echo "jemalloc for preload: this failed; the whole log is $log" >&2
    exit 1
}
cp lib/libjemalloc_pic.a "$result"
