/* SPDX-License-Identifier: BSD-3-Clause */
/* zmalloc_defrag over a script's Blocks, one at a time: what its list holds is known only as each is looked at. */
#ifndef DEFRAG_STEPS_H
#define DEFRAG_STEPS_H

#include "zmalloc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct defrag_steps {
    struct zmalloc_defrag sums;
    uint64_t end; /* in microseconds; UINT64_MAX: none */
    bool looks;   /* at the clock, before the next one */
};

/* The status is that of a call without blocks. */
int defrag_begin(struct defrag_steps *steps, size_t start, size_t max_us);

bool defrag_is_in_time(const struct defrag_steps *steps);

/* The next one's memory, which may move; NULL: it stays where it is. */
int defrag_step(struct defrag_steps *steps, char **memory);

#endif
