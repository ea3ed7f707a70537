/* SPDX-License-Identifier: BSD-3-Clause */
/* See pressure.h. */
#include "pressure.h"

#include "zmalloc.h"

/* A callable, or NULL. */
static PyObject *pressure_handler;

/* What it raises is pending afterwards, and the result is -1. */
static int call_pressure_handler(void)
{
    if (pressure.handler_runs || pressure_handler == NULL) {
        return 0;
    }
    begin_handler();
    PyObject *handler = Py_NewRef(pressure_handler); /* it may set another one */
    PyObject *answer = PyObject_CallFunction(handler, "N", PyLong_FromSize_t(pressure.used));
    Py_DECREF(handler);
    Py_XDECREF(answer);
    end_handler();
    return answer != NULL ? 0 : -1;
}

PyObject *passed_pressure(PyObject *result)
{
    if (result != NULL && call_pressure_handler() != 0) {
        Py_CLEAR(result);
    }
    return result;
}

void keep_pressure_handler(PyObject *handler)
{
    PyObject *old = pressure_handler;
    pressure_handler = handler != Py_None && zmalloc_soft_limit() != 0 ? Py_NewRef(handler) : NULL;
    pressure.passed = false;
    Py_XDECREF(old);
}
