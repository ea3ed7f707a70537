/* SPDX-License-Identifier: BSD-3-Clause */
/* A text handed over in pieces whose lengths come from a number: the same pieces each time. */
#ifndef CHUNKS_H
#define CHUNKS_H

#include <stddef.h>
#include <stdint.h>

/* Mostly short pieces, now and then none at all or a page; 0 is one piece, the whole. */
static inline size_t next_chunk(uint32_t *seed, size_t left)
{
    static const size_t longest[] = {1, 2, 7, 64, 64, 1024, 4096, 4097};
    if (*seed == 0) {
        return left;
    }
    *seed = *seed * 1664525u + 1013904223u;
    size_t length = (*seed >> 16) % (longest[*seed >> 29] + 1);
    *seed = *seed != 0 ? *seed : 1;
    return length < left ? length : left;
}

#endif
