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

# The release, but for what is changed below, in copies. Nothing stays of an earlier build, which may have had others.
rm -rf source src
mkdir source
ln -s "$source"/* source/
rm source/src
cp -R "$source/src" source/src

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
# No class of 8 bytes: its blocks would be aligned for 8 only. This copy is found before the release's own.
smallest=include/jemalloc/internal/sc.h
sed 's/^#define SC_LG_TINY_MIN 3$/#define SC_LG_TINY_MIN LG_QUANTUM/' "$source/$smallest" >"$smallest"
grep -q '^#define SC_LG_TINY_MIN LG_QUANTUM$' "$smallest"

# A thread may begin when memory has run out. The release crashes when it can't have a new arena or a cache then: it
# takes arena 0, and does without a cache.
sed '/^arena_choose_hard/,/^}/{
    /if (arena == NULL) {/,/}/c\
				is_new_arena[j] = arena != NULL;\
				if (arena == NULL) {\
					choose[j] = 0;\
					arena = arena_get(tsd_tsdn(tsd), 0, false);\
				}
    /is_new_arena\[j\] = true;/d
}' "$source/src/jemalloc.c" >source/src/jemalloc.c
sed '/^tsd_tcache_enabled_data_init/,/^}/s/tsd_tcache_data_init(tsd);/if (tsd_tcache_data_init(tsd)) {\
			tsd_tcache_enabled_set(tsd, false);\
			tsd_slow_update(tsd);\
		}/' "$source/src/tcache.c" >source/src/tcache.c
grep -q 'is_new_arena\[j\] = arena != NULL;' source/src/jemalloc.c
grep -q 'if (tsd_tcache_data_init(tsd)) {' source/src/tcache.c

step "compiling, about a minute" make -j "$(getconf _NPROCESSORS_ONLN)" lib/libjemalloc_pic.a
cp lib/libjemalloc_pic.a "$out/libzmalloc-jemalloc.a"
cp include/jemalloc/jemalloc.h "$out/jemalloc.h"
