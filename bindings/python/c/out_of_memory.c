/* SPDX-License-Identifier: BSD-3-Clause */
/* See out_of_memory.h. */
#include "out_of_memory.h"

#include "convert.h"
#include "zmalloc.h"

/* A callable, or NULL; and whether C may go on with what it was at when it returns. */
static PyObject *script_handler;
static bool handler_answers;

_Thread_local struct memory_request memory_request;

/* Whether the script's handler answered that it freed something. If not, its exception is pending or there is none.
 */
static bool ask_handler(size_t size)
{
    int retries = memory_request.retries;
    size_t old = memory_request.old;
    memory_request.old = 0;
    memory_request.handler_runs = true;
    PyObject *handler = Py_NewRef(script_handler); /* it may set another one */
    PyObject *result = PyObject_CallFunction(handler, "N", PyLong_FromSize_t(size));
    Py_DECREF(handler);
    bool freed = result != NULL && PyObject_IsTrue(result) == 1;
    Py_XDECREF(result);
    memory_request.handler_runs = false;
    memory_request.retries = retries;
    memory_request.old = old;
    return freed;
}

int oom_retry_callback(size_t size, void *unused)
{
    (void) unused;
    struct refusal refusal = why_refused(size, memory_request.old); /* before the handler frees anything */
    bool asked = script_handler != NULL && !memory_request.handler_runs;
    bool again = asked && ask_handler(size) && memory_request.retries++ < ZMALLOC_MOST_RETRIES;
    memory_request.handled = true; /* not before: calls that the handler makes end with it false */
    memory_request.failed = !again && !PyErr_Occurred();
    memory_request.refusal = refusal;
    return again;
}

void oom_callback(size_t size)
{
    memory_request.retries = ZMALLOC_MOST_RETRIES; /* no more of them */
    oom_retry_callback(size, NULL);
}

bool handled_call_failed(const char *call)
{
    memory_request.handled = false;
    memory_request.retries = 0;
    if (memory_request.failed) {
        memory_request.failed = false;
        refusal_text text;
        write_refusal(text, call, &memory_request.refusal);
        PyErr_SetString(PyExc_MemoryError, text);
    }
    return PyErr_Occurred() != NULL;
}

int check_callable(PyObject *object, const char *call, const char *argument)
{
    bool good = object == Py_None || PyCallable_Check(object);
    return good ? 0 : refuse_type(object, call, argument, "callable or None");
}

int set_handler(PyObject *object, bool answers, const char *call, const char *argument)
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

bool oom_handler_answers(void)
{
    return handler_answers;
}
