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

#endif
