/* SPDX-License-Identifier: BSD-3-Clause */
/* When the soft limit is passed: the script's handler is called once the call that did so is done, result and all. */
#ifndef PRESSURE_H
#define PRESSURE_H

#include "interpreter.h"

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
PyObject *passed_pressure(PyObject *result);

/* The call's result, unless the handler raises. What the call has done stays done, but a new Block is gone. */
static inline PyObject *after_pressure(PyObject *result)
{
    return pressure.passed ? passed_pressure(result) : result;
}

void keep_pressure_handler(PyObject *handler);

#endif
