/* SPDX-License-Identifier: BSD-3-Clause */
/* When there is no memory: the script's handler is called, and the failed call raises; nothing aborts. */
#ifndef OUT_OF_MEMORY_H
#define OUT_OF_MEMORY_H

#include <stdbool.h>

/* A callable, or NULL. */
static PyObject *script_handler;

/* What the handler below has to tell the call that failed, in the same thread. */
static _Thread_local struct {
    bool handler_runs; /* it is not called for what it asks for itself */
    bool failed;
    size_t size;
} memory_request;

/* zmalloc's handler. Returns with an exception pending, the script's own, or with the failure noted. */
static void out_of_memory(size_t size)
{
    if (script_handler != NULL && !memory_request.handler_runs) {
        memory_request.handler_runs = true;
        PyObject *handler = Py_NewRef(script_handler); /* it may set another one */
        PyObject *result = PyObject_CallFunction(handler, "N", PyLong_FromSize_t(size));
        Py_DECREF(handler);
        Py_XDECREF(result);
        memory_request.handler_runs = false;
        if (result == NULL) {
            return;
        }
    }
    memory_request.failed = true;
    memory_request.size = size;
}

/* Whether the call that has just come back has failed for want of memory; then an exception is pending. */
static bool call_failed(const char *call)
{
    if (memory_request.failed) {
        memory_request.failed = false;
        PyErr_Format(PyExc_MemoryError, "%s: can't allocate a size of %zu bytes", call, memory_request.size);
    }
    return PyErr_Occurred() != NULL;
}

static int set_handler(PyObject *object, const char *call, const char *argument)
{
    if (object != Py_None && !PyCallable_Check(object)) {
        return refuse_type(object, call, argument, "callable or None");
    }
    PyObject *old = script_handler;
    script_handler = object != Py_None ? Py_NewRef(object) : NULL;
    Py_XDECREF(old);
    return 0;
}

#endif
