/* SPDX-License-Identifier: BSD-3-Clause */
/* The soft limit, in a thread that passes it: noted at once, and told to the script once the call is done. */
#ifndef SOFT_LIMIT_H
#define SOFT_LIMIT_H

#include <stdbool.h>
#include <stddef.h>

/* zmalloc's handler notes here what the end of the call is to tell. In the header, as every call looks at it. */
struct pressure {
    bool passed;
    bool handler_runs;
    size_t used;
};

extern _Thread_local struct pressure pressure __attribute__((visibility("hidden")));

void soft_limit_callback(size_t used, void *unused);

/* Around the script's handler. */
void begin_handler(void);
void end_handler(void);

#endif
