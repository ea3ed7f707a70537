/* SPDX-License-Identifier: BSD-3-Clause */
/* For monitors: a sample taken and kept in one call, each figure in eight bytes, as Python's struct reads them. */
#ifndef FIGURES_H
#define FIGURES_H

#include "interpreter.h"

/* Of this process; glibc looks at all its free blocks meanwhile. */
PyObject *take_own(int walk, PyObject *records);

/* Of another process, as Python has read and packed them. */
PyObject *take_packed(PyObject *packed, PyObject *records);

#endif
