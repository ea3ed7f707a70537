/* SPDX-License-Identifier: BSD-3-Clause */
/* See sampling.h. */
#include "sampling.h"

#include "figures.h"

#include <stdatomic.h>

static const char alarm_name[] = "zmalloc.alarm";

struct alarm {
    PyThread_type_lock lock; /* it can be had when the alarm rings */
    atomic_bool rung;
};

static void free_alarm(PyObject *capsule)
{
    struct alarm *alarm = PyCapsule_GetPointer(capsule, alarm_name);
    PyThread_free_lock(alarm->lock);
    PyMem_Free(alarm);
}

PyObject *make_alarm(void)
{
    struct alarm *alarm = PyMem_Malloc(sizeof(*alarm));
    PyThread_type_lock lock = alarm != NULL ? PyThread_allocate_lock() : NULL;
    if (lock == NULL) {
        PyMem_Free(alarm);
        return PyErr_NoMemory();
    }
    alarm->lock = lock;
    atomic_init(&alarm->rung, false);
    PyThread_acquire_lock(lock, NOWAIT_LOCK);
    PyObject *capsule = PyCapsule_New(alarm, alarm_name, free_alarm);
    if (capsule == NULL) {
        PyThread_free_lock(lock);
        PyMem_Free(alarm);
    }
    return capsule;
}

PyObject *ring_alarm(PyObject *capsule)
{
    struct alarm *alarm = PyCapsule_GetPointer(capsule, alarm_name);
    if (alarm == NULL) {
        return NULL;
    }
    if (!atomic_exchange(&alarm->rung, true)) {
        PyThread_release_lock(alarm->lock);
    }
    return Py_NewRef(Py_None);
}

/* Whether the alarm rings before that time. Python waits at most so long at once as fits into its type. */
static bool rings_before(const struct alarm *alarm, double due)
{
    static const double most = 1e6;
    for (;;) {
        double left = due - steady_seconds();
        double wait = left < 0 ? 0 : left < most ? left : most;
        if (PyThread_acquire_lock_timed(alarm->lock, (PY_TIMEOUT_T) (wait * 1e6) + (wait > 0), 0) ==
            PY_LOCK_ACQUIRED) {
            return true;
        }
        if (left < most) {
            return false;
        }
    }
}

/* The next time; what was missed is not made up for. */
static double next_after(double due, double interval)
{
    double missed = (steady_seconds() - due) / interval;
    return due + interval * (1 + (missed < 0 ? 0 : missed < 1e15 ? (double) (int64_t) missed : missed));
}

/* Whether to go on; -1 with an error. */
static int ask_again(PyObject *again)
{
    PyObject *answer = PyObject_CallObject(again, NULL);
    int goes_on = answer != NULL ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return goes_on;
}

/* Of another process. To find no page takes a look at all its descriptors, so not at each sample; one that was found
 * is found again at once. Python reads it, and says what is wrong with one that has no figures. */
static bool sample_other(long pid, int descriptor, double *look, struct figures *figures)
{
    static const double pause = 1;
    if (!read_other(pid, descriptor, figures)) {
        return false;
    }
    double now = steady_seconds();
    if (now < *look) {
        return true;
    }
    enum publishing found = publishing(pid);
    *look = found == A_PAGE ? now : now + pause;
    return found == NOTHING;
}

PyObject *sample_on_time(PyObject *capsule, PyObject *source, PyObject *again)
{
    struct alarm *alarm = PyCapsule_GetPointer(capsule, alarm_name);
    double interval;
    long pid;
    int walk;
    int descriptor;
    PyObject *records;
    if (alarm == NULL ||
        !PyArg_ParseTuple(source, "dlpiO:_sample_on_time", &interval, &pid, &walk, &descriptor, &records)) {
        return NULL;
    }
    double due = steady_seconds() + interval;
    double look = 0;
    for (;;) {
        struct figures figures;
        bool is_read = false;
        PyThreadState *waiting = PyEval_SaveThread();
        bool rings = rings_before(alarm, due);
        if (!rings && pid == -1) {
            read_own(walk, &figures);
            is_read = true;
        } else if (!rings && pid > 0) {
            is_read = sample_other(pid, descriptor, &look, &figures);
        }
        PyEval_RestoreThread(waiting);
        int goes_on = rings ? 0 : is_read ? keep_figures(records, &figures) + 1 : ask_again(again);
        if (goes_on <= 0) {
            return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
        }
        due = next_after(due, interval);
    }
}
