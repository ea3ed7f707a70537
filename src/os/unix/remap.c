/* SPDX-License-Identifier: BSD-3-Clause */
/* macOS and FreeBSD: pages are given back by mapping new ones in their place. */
#include "os/os.h"

#include <string.h>
#include <sys/mman.h>

/*
 * MADV_FREE, even of pages that were filled with zeroes, is no sure way to read zeroes afterwards: in a forked child,
 * below the pages that are dropped there may be those of before the fork.
 */
void zm_os_discard(void *pages, size_t bytes)
{
    if (mmap(pages, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON | MAP_FIXED, -1, 0) == MAP_FAILED) {
        memset(pages, 0, bytes);
    }
}
