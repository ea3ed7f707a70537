#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Redis under a load that fragments memory: values of many sizes that grow, three of four deleted, and larger ones in
# their place. For `zmalloc compare -- sh examples/redis.sh`. Needs redis-server, which Debian has a package of.
set -eu
if [ $# -gt 1 ]; then
    echo "Usage: redis.sh [KEYS]" >&2
    exit 2
fi
keys=${1:-500000}
for program in redis-server redis-cli; do
    if ! command -v "$program" >/dev/null; then
        echo "redis.sh: there is no $program here" >&2
        exit 127
    fi
done

# Only the server is to run under the allocator in question.
preload=${LD_PRELOAD:-}
unset LD_PRELOAD
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" || : ; rm -rf "$folder"' EXIT
trap 'exit 130' HUP INT TERM
LD_PRELOAD=$preload redis-server --port 0 --unixsocket "$folder/socket" --dir "$folder" --save '' &
server=$!

client() {
    redis-cli -s "$folder/socket" "$@"
}

until client ping; do
    kill -0 "$server"
    sleep 0.05
done

awk -v keys="$keys" 'BEGIN {
    text = sprintf("%1000s", "")
    gsub(" ", "x", text)
    for (i = 0; i < keys; i++)
        printf "SET early:%d %s\r\n", i, substr(text, 1, 20 + i * 37 % 300)
    for (i = 0; i < keys; i++)
        printf "APPEND early:%d %s\r\n", i, substr(text, 1, 1 + i * 11 % 50)
    for (i = 0; i < keys; i++)
        if (i * 7919 % 100 < 75)
            printf "DEL early:%d\r\n", i
    for (i = 0; i < keys / 3; i++)
        printf "SET late:%d %s\r\n", i, substr(text, 1, 300 + i * 53 % 500)
}' | client --pipe
client shutdown nosave
wait "$server"
server=
