/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks for a Python without the global interpreter lock (GIL). With it, all of them are nothing and cost nothing. */
#ifndef LOCKS_H
#define LOCKS_H

#include "interpreter.h"

#include <stdbool.h>

/*
 * A hold on an object keeps other threads from it while C is at work on it, as the GIL does: where Python code runs
 * in between, or the thread waits, others may come in. Who is held must be whole there, or say that it is busy. Of a
 * hold that is all zero there is nothing to end.
 *
 * A short lock is for what no object has. No Python code runs while it is locked.
 */
#ifdef Py_GIL_DISABLED

enum { HAVE_GIL = false };

struct hold {
    PyCriticalSection section;
    bool begun;
};

static inline void begin_hold(struct hold *hold, PyObject *object)
{
    PyCriticalSection_Begin(&hold->section, object);
    hold->begun = true;
}

static inline void end_hold(struct hold *hold)
{
    if (hold->begun) {
        PyCriticalSection_End(&hold->section);
    }
}

typedef PyMutex short_lock;

static inline void lock_shortly(short_lock *lock)
{
    PyMutex_Lock(lock);
}

static inline void unlock_shortly(short_lock *lock)
{
    PyMutex_Unlock(lock);
}

/* In a forked child: Python hands a lock on to a thread that waits for it, and that thread may be gone. */
static inline void forget_lock(short_lock *lock)
{
    *lock = (short_lock){0};
}

/* Of a list or a tuple, a new reference; NULL, without an exception, where a list has become shorter meanwhile. */
static inline PyObject *item_at(PyObject *sequence, Py_ssize_t i)
{
    if (PyTuple_Check(sequence)) {
        return Py_NewRef(PyTuple_GET_ITEM(sequence, i));
    }
    PyObject *item = PyList_GetItemRef(sequence, i);
    if (item == NULL) {
        PyErr_Clear();
    }
    return item;
}

#else

enum { HAVE_GIL = true };

struct hold {
    bool begun;
};

static inline void begin_hold(struct hold *hold, PyObject *object)
{
    (void) hold;
    (void) object;
}

static inline void end_hold(struct hold *hold)
{
    (void) hold;
}

typedef char short_lock;

static inline void lock_shortly(short_lock *lock)
{
    (void) lock;
}

static inline void unlock_shortly(short_lock *lock)
{
    (void) lock;
}

static inline void forget_lock(short_lock *lock)
{
    (void) lock;
}

static inline PyObject *item_at(PyObject *sequence, Py_ssize_t i)
{
    return Py_NewRef(PySequence_Fast_GET_ITEM(sequence, i));
}

#endif
#endif
