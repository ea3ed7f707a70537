/* SPDX-License-Identifier: BSD-3-Clause */
/* When the soft limit is passed: the script's handler is called once the call that did so is done, results and all.
 */
#ifndef PRESSURE_H
#define PRESSURE_H

#include "compat.h"

#include <stdbool.h>
#include <stddef.h>

void soft_limit_callback(size_t used, void *unused);

/* What zmalloc's handler reports to the end of the call, in the same thread. In the header, as every call looks at
 * it. */
struct pressure {
    bool passed;
    bool handler_runs;
    size_t used;
};

extern _Thread_local struct pressure pressure __attribute__((visibility("hidden")));

/* As after_pressure, where the limit was passed. */
void passed_pressure(lua_State *L);

/* What the handler raises leaves the call, which has done its work. */
static inline void after_pressure(lua_State *L)
{
    if (pressure.passed) {
        passed_pressure(L);
    }
}

/* For a state that loads the module: there is no handler yet. */
void start_watching(lua_State *L);

/* In one step: the place is there from the start. */
void keep_pressure_handler(lua_State *L, int index);

#endif
