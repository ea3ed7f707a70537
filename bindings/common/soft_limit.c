/* SPDX-License-Identifier: BSD-3-Clause */
/* See soft_limit.h. */
#include "soft_limit.h"

#include "zmalloc.h"

_Thread_local struct pressure pressure;

void soft_limit_callback(size_t used, void *unused)
{
    (void) unused;
    pressure.passed = true;
    pressure.used = used;
}

void begin_handler(void)
{
    pressure.passed = false;
    pressure.handler_runs = true;
}

/* What the handler's own calls passed is told after the next one, unless it has freed that again. */
void end_handler(void)
{
    pressure.handler_runs = false;
    pressure.used = zmalloc_used_memory();
    pressure.passed = pressure.passed && pressure.used > zmalloc_soft_limit();
}
