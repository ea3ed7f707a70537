/* SPDX-License-Identifier: BSD-3-Clause */
/* When the soft limit is passed: the script's handler is called once the call that did so is done, results and all.
 */
#ifndef PRESSURE_H
#define PRESSURE_H

#include "compat.h"
#include "soft_limit.h"

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
