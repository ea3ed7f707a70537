/* SPDX-License-Identifier: BSD-3-Clause */
/* See out_of_memory.h. */
#include "out_of_memory.h"

#include "convert.h"
#include "state.h"
#include "zmalloc.h"

_Thread_local struct memory_request memory_request;

/* The callable is the caller's too. */
static struct handler current_handler(void)
{
    struct state *state = current_state();
    lock_shortly(&state->oom_lock);
    struct handler handler = state->oom_handler;
    Py_XINCREF(handler.callable);
    unlock_shortly(&state->oom_lock);
    return handler;
}

/*
 * Whether C is to try again, as the script's handler answers that it freed something. If not, its exception is
 * pending or there is none. The handler, its answer's truth and its own end are Python code that may do anything:
 * make calls that fail themselves, set another handler, run other threads. Only the Block that is resized is out of
 * its reach, and what this call has noted of itself is put back afterwards.
 */
static bool ask_handler(size_t size)
{
    struct memory_request request = memory_request;
    struct handler handler = current_handler();
    if (handler.callable == NULL) {
        return false;
    }
    memory_request = (struct memory_request){.handler_runs = true};
    PyObject *result = PyObject_CallFunction(handler.callable, "N", PyLong_FromSize_t(size));
    bool freed = result != NULL && PyObject_IsTrue(result) == 1;
    Py_XDECREF(result);
    Py_DECREF(handler.callable);
    memory_request = request;
    return freed && handler.answers;
}

int oom_retry_callback(size_t size, void *unused)
{
    (void) unused;
    struct refusal refusal = why_refused(size, memory_request.old); /* before the handler frees anything */
    bool again = !memory_request.handler_runs && ask_handler(size) && memory_request.retries++ < ZMALLOC_MOST_RETRIES;
    memory_request.handled = true;
    memory_request.failed = !again && !PyErr_Occurred();
    memory_request.refusal = refusal;
    return again;
}

int start_handling(void)
{
    if (zmalloc_set_oom_retry_handler(oom_retry_callback, NULL) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
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

/*
 * In one step; and the old callable is let go when all is as it will be: its finaliser may run any Python code. C's
 * own handler never changes.
 */
int set_handler(PyObject *object, bool answers, const char *call, const char *argument)
{
    if (check_callable(object, call, argument) != 0) {
        return -1;
    }
    struct state *state = current_state();
    lock_shortly(&state->oom_lock);
    PyObject *old = state->oom_handler.callable;
    state->oom_handler = (struct handler){object != Py_None ? Py_NewRef(object) : NULL, answers};
    unlock_shortly(&state->oom_lock);
    Py_XDECREF(old);
    return 0;
}
