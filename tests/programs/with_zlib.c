/* SPDX-License-Identifier: BSD-3-Clause */
/* A program that links zlib's archive, which has a zcalloc of its own, beside the library. */
#include <zlib.h>
#include <zmalloc.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    static const char text[] = "the same words, the same words, the same words, the same words";
    uLongf length = compressBound(sizeof(text));
    char *packed = zmalloc(length);
    char *again = zcalloc(sizeof(text));
    size_t used = zmalloc_used_memory();
    uLongf unpacked = sizeof(text);
    if (compress((Bytef *) packed, &length, (const Bytef *) text, sizeof(text)) != Z_OK ||
        uncompress((Bytef *) again, &unpacked, (const Bytef *) packed, length) != Z_OK ||
        memcmp(text, again, sizeof(text)) != 0 || length >= sizeof(text)) {
        return 1;
    }
    /* zlib's own blocks are malloc's. */
    if (zmalloc_used_memory() != used || used < zmalloc_size(packed) + zmalloc_size(again)) {
        return 2;
    }
    zfree(packed);
    zfree(again);
    puts(ZMALLOC_LIB);
    return zmalloc_used_memory() != 0;
}
