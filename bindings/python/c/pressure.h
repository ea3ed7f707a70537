/* SPDX-License-Identifier: BSD-3-Clause */
/* When the soft limit is passed: the script's handler is called once the call that did so is done, result and all. */
#ifndef PRESSURE_H
#define PRESSURE_H

#include "interpreter.h"
#include "soft_limit.h"

/* As after_pressure, where the limit was passed. */
PyObject *passed_pressure(PyObject *result);

/* The call's result, unless the handler raises. What the call has done stays done, but a new Block is gone. */
static inline PyObject *after_pressure(PyObject *result)
{
    return pressure.passed ? passed_pressure(result) : result;
}

/* Around the call that sets the limit: the handler is kept if that returned 0. */
void start_pressure_change(void);
void end_pressure_change(int status, PyObject *handler);

#endif
