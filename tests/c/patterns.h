/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests write to blocks, and look for afterwards. */
#ifndef PATTERNS_H
#define PATTERNS_H

#include <stdbool.h>
#include <stddef.h>

/* A byte that differs between neighbours in a block and between blocks of different seeds. */
static inline unsigned char pattern(size_t i, unsigned seed)
{
    return (unsigned char) (i * 131 + i / 256 + seed * 29 + 1);
}

static inline void fill(void *ptr, size_t from, size_t to, unsigned seed)
{
    unsigned char *bytes = ptr;
    for (size_t i = from; i < to; i++) {
        bytes[i] = pattern(i, seed);
    }
}

static inline bool filled(const void *ptr, size_t length, unsigned seed)
{
    const unsigned char *bytes = ptr;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != pattern(i, seed)) {
            return false;
        }
    }
    return true;
}

static inline bool all_zero(const void *ptr, size_t length)
{
    const unsigned char *bytes = ptr;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

#endif
