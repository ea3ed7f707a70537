/* SPDX-License-Identifier: BSD-3-Clause */
/* When the soft limit is passed: the script's handler is called once the call that did so is done, result and all. */
#ifndef PRESSURE_H
#define PRESSURE_H

#include <stdbool.h>

/* A callable, or NULL. */
static PyObject *pressure_handler;

/* What zmalloc's handler has to tell the end of the call, in the same thread. */
static _Thread_local struct {
    bool handler_runs;
    bool passed;
    size_t used;
} pressure;

static void note_pressure(size_t used, void *unused)
{
    (void) unused;
    pressure.passed = true;
    pressure.used = used;
}

/* What the handler's own calls passed is told after the next one, unless it has freed that again. */
static void end_handler(void)
{
    pressure.handler_runs = false;
    pressure.used = zmalloc_used_memory();
    pressure.passed = pressure.passed && pressure.used > zmalloc_soft_limit();
}

/* What it raises is pending afterwards, and the result is -1. */
static int tell_pressure(void)
{
    if (!pressure.passed || pressure.handler_runs || pressure_handler == NULL) {
        return 0;
    }
    pressure.passed = false;
    pressure.handler_runs = true;
    PyObject *handler = Py_NewRef(pressure_handler); /* it may set another one */
    PyObject *answer = PyObject_CallFunction(handler, "N", PyLong_FromSize_t(pressure.used));
    Py_DECREF(handler);
    Py_XDECREF(answer);
    end_handler();
    return answer != NULL ? 0 : -1;
}

/* The call's result, unless the handler raises. What the call has done stays done, but a new Block is gone. */
static PyObject *after_pressure(PyObject *result)
{
    if (result != NULL && tell_pressure() != 0) {
        Py_CLEAR(result);
    }
    return result;
}

static void keep_pressure_handler(PyObject *handler)
{
    PyObject *old = pressure_handler;
    pressure_handler = handler != Py_None ? Py_NewRef(handler) : NULL;
    pressure.passed = false;
    Py_XDECREF(old);
}

#endif
