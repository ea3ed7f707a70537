#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# apt: `apt-get download NAME=1.2-*` takes a pattern for the version, `apt-get source NAME=1.2-*` does not.
#
# Versions: Debian's apt 2.6.1 (bookworm), 3.0.4 (trixie) and 3.3.3 (forky), asked about jemalloc 5.3.0-1 of bookworm.
# The words are the same, and so is the place of the version in them. For the package the pattern finds 5.3.0-1. For
# the source package all three say that they can not find it, though with 5.3.0-1 in full they do. A script that pins
# an upstream version, whatever revision Debian has of it, first has to ask `apt-cache showsrc` for the versions.
. "$(dirname "$0")/debian.sh"

# ask WORDS: with the unpacked apt, and the lists of packages and of sources of bookworm.
ask() {
    run "$root/usr/bin/apt-get" -qq -c "$work/apt-bookworm/apt.conf" -o Dir::Cache::pkgcache= \
        -o Dir::Cache::srcpkgcache= --print-uris "$@" 2>&1 |
        sed -E -n "s/^'.*\/([^\/]*\.(deb|dsc))' .*/    \1/p; s/^E: Can not/    can not/p"
}

say() {
    run "$root/usr/bin/apt-get" --version | sed -n 's/^apt \([^ ]*\) .*/apt \1/p'
    echo "  download libjemalloc2=5.3.0-*:"
    ask download 'libjemalloc2=5.3.0-*'
    echo "  source jemalloc=5.3.0-*:"
    ask source 'jemalloc=5.3.0-*'
    echo "  source jemalloc=5.3.0-1:"
    ask source 'jemalloc=5.3.0-1'
}

{
    debian bookworm apt=2.6.1 libapt-pkg6.0=2.6.1 libc6=2.36-9+deb12u14 libstdc++6=12.2.0-14+deb12u1 \
        libgcc-s1=12.2.0-14+deb12u1
    sed -i 'p; s/^deb /deb-src /' "$work/apt-bookworm/sources.list"
    apt-get -qq -c "$work/apt-bookworm/apt.conf" update
    say
    debian trixie apt=3.0.4 libapt-pkg7.0=3.0.4 libc6=2.41-12+deb13u5 libstdc++6=14.2.0-19 libgcc-s1=14.2.0-19 \
        libssl3t64=3.5.9-1~deb13u1
    say
    debian forky apt=3.3.3 libapt-pkg7.0=3.3.3 libc6=2.43-7 libstdc++6=16.2.0-3 libgcc-s1=16.2.0-3 libssl3t64=3.6.5-1
    say
} | expect 'apt 2.6.1
  download libjemalloc2=5.3.0-*:
    libjemalloc2_5.3.0-1_amd64.deb
  source jemalloc=5.3.0-*:
    can not find version '\''5.3.0-*'\'' of package '\''jemalloc'\''
  source jemalloc=5.3.0-1:
    jemalloc_5.3.0-1.dsc
apt 3.0.4
  download libjemalloc2=5.3.0-*:
    libjemalloc2_5.3.0-1_amd64.deb
  source jemalloc=5.3.0-*:
    can not find version '\''5.3.0-*'\'' of package '\''jemalloc'\''
  source jemalloc=5.3.0-1:
    jemalloc_5.3.0-1.dsc
apt 3.3.3
  download libjemalloc2=5.3.0-*:
    libjemalloc2_5.3.0-1_amd64.deb
  source jemalloc=5.3.0-*:
    can not find version '\''5.3.0-*'\'' of package '\''jemalloc'\''
  source jemalloc=5.3.0-1:
    jemalloc_5.3.0-1.dsc'
