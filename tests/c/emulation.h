/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a test runs under qemu's emulation of a process, which does without some of what the kernel does for
 * others. */
#ifndef EMULATION_H
#define EMULATION_H

#include <stdbool.h>
#include <stdlib.h>

static inline bool is_emulated(void)
{
    return getenv("ZMALLOC_EMULATED") != NULL;
}

/* A thread takes many times as long to begin there, and leaves something behind in the emulator. */
static inline unsigned fewer_if_emulated(unsigned threads)
{
    return is_emulated() ? (threads + 19) / 20 : threads;
}

#endif
