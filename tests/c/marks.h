/* SPDX-License-Identifier: BSD-3-Clause */
/* Marks all over a block, which say that nobody else wrote there. */
#ifndef MARKS_H
#define MARKS_H

#include "threads.h"

/*
 * A small block's bytes all follow from its first; a large one's at both ends and here and there between, as it would
 * take long to write to it all.
 */
enum { SMALL = 2048, END = 512, STRIDE = 64 << 10 };

static inline size_t next_marked(size_t i, size_t usable)
{
    if (usable <= SMALL || i < END - 1 || i >= usable - END) {
        return i + 1;
    }
    size_t next = (i / STRIDE + 1) * STRIDE;
    return next < usable - END ? next : usable - END;
}

static inline unsigned char marked(size_t i, unsigned char first)
{
    return (unsigned char) (first + i * 7 + i / STRIDE);
}

static inline void mark(unsigned char *block, size_t usable, unsigned char first)
{
    for (size_t i = 0; i < usable; i = next_marked(i, usable)) {
        block[i] = marked(i, first);
    }
}

/* The part of it that a block of some other size has, too. */
static inline void check_marks(const unsigned char *block, size_t usable, size_t part)
{
    for (size_t i = 0; i < part; i = next_marked(i, usable)) {
        check(block[i] == marked(i, block[0]));
    }
}

static inline void check_zero(const unsigned char *block, size_t size)
{
    for (size_t i = 0; i < size; i = next_marked(i, size)) {
        check(block[i] == 0);
    }
}

#endif
