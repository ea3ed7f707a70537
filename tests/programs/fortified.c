/* SPDX-License-Identifier: BSD-3-Clause */
/* Built with _FORTIFY_SOURCE=3: a program may use every byte that it was told it may use, and is not aborted. */
#include "zmalloc.h"

#include <stdio.h>
#include <string.h>

/* Macros, so that the compiler sees the size asked for beside the bytes used. */
#define USE_USABLE(call)                                                                                             \
    do {                                                                                                             \
        size_t usable;                                                                                               \
        char *block = call;                                                                                          \
        memset(block, 1, usable);                                                                                    \
        snprintf(block, usable, "%s", "text");                                                                       \
        zfree(block);                                                                                                \
    } while (0)

#define USE_EXTENDED(call)                                                                                           \
    do {                                                                                                             \
        char *block = call;                                                                                          \
        size_t usable = zmalloc_usable_size(block);                                                                  \
        block = extend_to_usable(block, usable);                                                                     \
        memset(block, 1, usable);                                                                                    \
        snprintf(block, usable, "%s", "text");                                                                       \
        zfree(block);                                                                                                \
    } while (0)

int main(void)
{
    /* Sizes that no allocator has: something is left over in every block. */
    USE_USABLE(zmalloc_usable(5, &usable));
    USE_USABLE(zmalloc_usable(1001, &usable));
    USE_USABLE(ztrymalloc_usable(101, &usable));
    USE_USABLE(zcalloc_usable(101, &usable));
    USE_USABLE(ztrycalloc_usable(5001, &usable));
    USE_USABLE(zrealloc_usable(NULL, 101, &usable));
    USE_USABLE(zrealloc_usable(zmalloc(10), 101, &usable));
    USE_USABLE(ztryrealloc_usable(zmalloc(10), 101, &usable));
    USE_USABLE(zaligned_alloc_usable(64, 101, &usable));
    USE_USABLE(ztryaligned_alloc_usable(4096, 101, &usable));
    USE_EXTENDED(zmalloc(5));
    USE_EXTENDED(zmalloc(1001));
    USE_EXTENDED(ztrymalloc(101));
    USE_EXTENDED(zmalloc_no_tcache(101));
    USE_EXTENDED(zcalloc(101));
    USE_EXTENDED(zcalloc_num(3, 35));
    USE_EXTENDED(ztrycalloc(101));
    USE_EXTENDED(zrealloc(zmalloc(10), 101));
    USE_EXTENDED(ztryrealloc(zmalloc(10), 101));
    USE_EXTENDED(zaligned_alloc(64, 101));
    USE_EXTENDED(ztryaligned_alloc(4096, 101));
    USE_EXTENDED(zstrdup("a string of some length"));
    puts("all used");
    return 0;
}
