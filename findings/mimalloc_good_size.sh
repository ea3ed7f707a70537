#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mimalloc: what mi_good_size promises is not what mi_malloc gives, and from which size on depends on the version.
#
# Versions: Debian's libmimalloc2.0 2.0.9+ds-2 (bookworm), libmimalloc3 3.0.1+ds-2.1 (trixie) and 3.6.0+ds-1 (forky).
# The reference says that a block of that size will have mi_good_size bytes. It is so for small sizes. With 2.0.9 a
# block above 128 KiB takes whole units of 64 KiB (200,000 bytes: 200,704 promised, 262,144 given). With 3.6.0 they
# differ above 512 KiB, with 3.0.1 only for the largest size here.
. "$(dirname "$0")/debian.sh"

ask() {
    compile "$work/ask" "$lib/$1" << 'C'
#include <mimalloc.h>
#include <stdio.h>

int main(void)
{
    const size_t sizes[] = {1000, 100000, 200000, 500000, 600000, 3000000};
    printf("mimalloc %d\n", mi_version());
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        printf("%zu: promised %zu, given %zu\n", sizes[i], mi_good_size(sizes[i]),
            mi_usable_size(mi_malloc(sizes[i])));
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
1000: promised 1024, given 1024
100000: promised 114688, given 114688
200000: promised 200704, given 262144
500000: promised 503808, given 524288
600000: promised 602112, given 1048576
3000000: promised 3002368, given 3145728
mimalloc 301
1000: promised 1024, given 1024
100000: promised 114688, given 114688
200000: promised 229376, given 229376
500000: promised 524288, given 524288
600000: promised 655360, given 655360
3000000: promised 3002368, given 3145728
mimalloc 30600
1000: promised 1024, given 1024
100000: promised 114688, given 114688
200000: promised 229376, given 229376
500000: promised 524288, given 524288
600000: promised 602112, given 655360
3000000: promised 3002368, given 3145728'
