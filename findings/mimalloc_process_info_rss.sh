#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mimalloc on Linux: mi_process_info's current_rss is not the resident set but the bytes that mimalloc has committed.
#
# Versions: Debian's libmimalloc2.0 2.0.9+ds-2 (bookworm), libmimalloc3 3.0.1+ds-2.1 (trixie) and 3.6.0+ds-1 (forky).
# In all three, current_rss equals current_commit: a block of 512 MiB that nobody touched counts at once, so that
# current_rss is several times peak_rss. In 3.6.0 it also stays near 64 MiB after everything was freed and collected,
# while /proc/self/statm has under 10 MiB.
. "$(dirname "$0")/debian.sh"

ask() {
    compile "$work/ask" "$lib/$1" << 'C'
#include <mimalloc.h>
#include <stdio.h>
#include <string.h>

static size_t resident(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*u %zu", &pages) != 1) return 0;
    fclose(file);
    return pages * 4096;
}

static void tell(const char *when)
{
    size_t none, rss, peak, commit;
    mi_process_info(&none, &none, &none, &rss, &peak, &commit, &none, &none);
    const char *beside = rss > 4 * resident() ? "over 4 times" : rss > resident() ? "above" : "at most";
    printf("%s: current_rss %s current_commit, %s peak_rss, %s the resident set\n", when,
        rss == commit ? "is" : "is not", rss > peak ? "above" : "at most", beside);
}

int main(void)
{
    static void *blocks[100000];
    printf("mimalloc %d\n", mi_version());
    for (int i = 0; i < 100000; i++) blocks[i] = memset(mi_malloc(600), 1, 600);
    tell("60 MB in use");
    for (int i = 0; i < 100000; i++) mi_free(blocks[i]);
    mi_collect(1);
    tell("freed, collected");
    void *untouched = mi_malloc((size_t)512 << 20);
    tell("512 MiB untouched");
    mi_free(untouched);
}
C
    run "$work/ask"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libmimalloc2.0=2.0.9+ds-2 libmimalloc-dev=2.0.9+ds-2
    ask libmimalloc.so.2.0
    debian trixie libc6=2.41-12+deb13u5 libmimalloc3=3.0.1+ds-2.1 libmimalloc-dev=3.0.1+ds-2.1
    ask libmimalloc.so.3
    debian forky libc6=2.43-7 libmimalloc3=3.6.0+ds-1 libmimalloc-dev=3.6.0+ds-1
    ask libmimalloc.so.3
} | expect 'mimalloc 209
60 MB in use: current_rss is current_commit, at most peak_rss, at most the resident set
freed, collected: current_rss is current_commit, at most peak_rss, at most the resident set
512 MiB untouched: current_rss is current_commit, above peak_rss, over 4 times the resident set
mimalloc 301
60 MB in use: current_rss is current_commit, at most peak_rss, at most the resident set
freed, collected: current_rss is current_commit, at most peak_rss, at most the resident set
512 MiB untouched: current_rss is current_commit, above peak_rss, over 4 times the resident set
mimalloc 30600
60 MB in use: current_rss is current_commit, at most peak_rss, at most the resident set
freed, collected: current_rss is current_commit, at most peak_rss, over 4 times the resident set
512 MiB untouched: current_rss is current_commit, above peak_rss, over 4 times the resident set'
