/* SPDX-License-Identifier: BSD-3-Clause */
/* See pressure.h. */
#include "pressure.h"

#include "state.h"
#include "zmalloc.h"

/* What it raises is pending afterwards, and the result is -1. */
static int call_pressure_handler(void)
{
    if (pressure.handler_runs) {
        return 0;
    }
    struct state *state = current_state();
    lock_shortly(&state->pressure_lock);
    PyObject *handler = Py_XNewRef(state->pressure_handler); /* it may set another one */
    unlock_shortly(&state->pressure_lock);
    if (handler == NULL) {
        pressure.passed = false; /* the limit is another interpreter's */
        return 0;
    }
    begin_handler();
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

/* Locked all the while, so that the handler that is kept is that of the limit. */
void start_pressure_change(void)
{
    lock_shortly(&current_state()->pressure_lock);
}

void end_pressure_change(int status, PyObject *handler)
{
    struct state *state = current_state();
    PyObject *old = NULL;
    if (status == 0) {
        old = state->pressure_handler;
        state->pressure_handler = handler != Py_None && zmalloc_soft_limit() != 0 ? Py_NewRef(handler) : NULL;
        pressure.passed = false;
    }
    unlock_shortly(&state->pressure_lock);
    Py_XDECREF(old);
}
