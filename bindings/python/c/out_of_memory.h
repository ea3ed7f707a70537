/* SPDX-License-Identifier: BSD-3-Clause */
/* When there is no memory: the script's handler is called, and the failed call raises; nothing aborts. */
#ifndef OUT_OF_MEMORY_H
#define OUT_OF_MEMORY_H

#include <stdbool.h>

/* A callable, or NULL; and whether C may go on with what it was at when it returns. */
static PyObject *script_handler;
static bool handler_answers;

/* What the handlers below have to tell the call that failed, in the same thread. */
static _Thread_local struct {
    bool handler_runs; /* it is not called for what it asks for itself */
    bool failed;
    size_t size;
    int retries; /* of this call, so far */
} memory_request;

/* Whether the script's handler answered that it freed something. If not, its exception is pending or there is none. */
static bool ask_handler(size_t size)
{
    int retries = memory_request.retries;
    memory_request.handler_runs = true;
    PyObject *handler = Py_NewRef(script_handler); /* it may set another one */
    PyObject *result = PyObject_CallFunction(handler, "N", PyLong_FromSize_t(size));
    Py_DECREF(handler);
    bool freed = result != NULL && PyObject_IsTrue(result) == 1;
    Py_XDECREF(result);
    memory_request.handler_runs = false;
    memory_request.retries = retries;
    return freed;
}

/* zmalloc's handler that answers. Otherwise an exception is pending, the script's own, or the failure is noted. */
static int ask_script(size_t size, void *unused)
{
    (void) unused;
    bool asked = script_handler != NULL && !memory_request.handler_runs;
    if (asked && ask_handler(size) && memory_request.retries++ < ZMALLOC_MOST_RETRIES) {
        return 1;
    }
    memory_request.failed = !PyErr_Occurred();
    memory_request.size = size;
    return 0;
}

/* The one that doesn't. */
static void tell_script(size_t size)
{
    memory_request.retries = ZMALLOC_MOST_RETRIES; /* no more of them */
    ask_script(size, NULL);
}

/* Whether the call that has just come back has failed for want of memory; then an exception is pending. */
static bool call_failed(const char *call)
{
    memory_request.retries = 0;
    if (memory_request.failed) {
        memory_request.failed = false;
        PyErr_Format(PyExc_MemoryError, "%s: can't allocate a size of %zu bytes", call, memory_request.size);
    }
    return PyErr_Occurred() != NULL;
}

static int check_callable(PyObject *object, const char *call, const char *argument)
{
    bool good = object == Py_None || PyCallable_Check(object);
    return good ? 0 : refuse_type(object, call, argument, "callable or None");
}

static int set_handler(PyObject *object, bool answers, const char *call, const char *argument)
{
    if (check_callable(object, call, argument) != 0) {
        return -1;
    }
    PyObject *old = script_handler;
    handler_answers = answers;
    script_handler = object != Py_None ? Py_NewRef(object) : NULL;
    Py_XDECREF(old);
    return 0;
}

#endif
