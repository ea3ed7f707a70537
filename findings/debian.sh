# SPDX-License-Identifier: BSD-3-Clause
# What the scripts beside this one share: pinned Debian packages in a temporary folder, by an apt of their own.
# Nothing is installed on the machine, and the folder goes when the script ends.

set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
triplet=$(uname -m)-linux-gnu

# debian SUITE NAME=VERSION…: unpacks the packages into $root. Their libraries are in $lib.
debian() {
    suite=$1
    shift
    root=$work/$suite
    lib=$root/usr/lib/$triplet
    apt=$work/apt-$suite
    mkdir -p "$root" "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/packages"
    touch "$apt/status"
    # The machine's own mirror is the first one that serves Debian itself.
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
        sed -n -E 's/^(URIs:|deb( \[[^]]*\])?) *(https?:[^ ]*\/debian\/?)( .*)?$/\3/p' | head -n 1)
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keys] ${mirror:?this machine has no Debian mirror} $suite main" > "$apt/sources.list"
    cat > "$apt/apt.conf" << CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$apt";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
CONF
    apt-get -qq -c "$apt/apt.conf" update
    (cd "$apt/packages" && apt-get -qq -c "$apt/apt.conf" download "$@")
    for package in "$apt"/packages/*.deb; do dpkg-deb -x "$package" "$root"; done
}

# compile OUTPUT ARGUMENTS…: the C program on standard input, with the unpacked headers. Its allocator's calls stay.
compile() {
    output=$1
    shift
    cc -x c -O1 -fno-builtin -Wno-deprecated-declarations -D_GNU_SOURCE -isystem "$root/usr/include" \
        -isystem "$root/usr/include/$triplet" -o "$output" - -x none -Wl,--no-as-needed -Wl,--allow-shlib-undefined \
        "$@" -lpthread
}

# run PROGRAM ARGUMENTS…: with the unpacked loader and libraries, libc among them.
run() {
    for loader in "$lib"/ld-linux*.so.* "$root/lib/$triplet"/ld-linux*.so.*; do [ -e "$loader" ] && break; done
    "$loader" --library-path "$lib:$root/lib/$triplet" "$@"
}

# expect TEXT: what standard input must be, to the letter.
expect() {
    cat > "$work/seen"
    cat "$work/seen"
    [ "$(cat "$work/seen")" = "$1" ] && return
    echo "$(basename "$0"): this is not what was seen before:" >&2
    echo "$1" >&2
    exit 1
}
