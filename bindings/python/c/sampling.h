/* SPDX-License-Identifier: BSD-3-Clause */
/* What a monitor's thread does: it waits, and takes samples without a line of Python. */
#ifndef SAMPLING_H
#define SAMPLING_H

#include "interpreter.h"

/* Ends a wait, before it has begun or while it lasts. */
PyObject *make_alarm(void);
PyObject *ring_alarm(PyObject *alarm);

/*
 * Takes a sample each interval until the alarm rings. The source is a tuple: the interval in seconds, a pid, whether
 * to walk, a descriptor, and a bytearray for the records. A pid of -1 is this process. Of another one RSS is read; it
 * may be held by the descriptor, or that is -1. What can't be taken so, and all of pid 0, is left to `again`, which
 * returns whether to go on.
 */
PyObject *sample_on_time(PyObject *alarm, PyObject *source, PyObject *again);

#endif
