/* SPDX-License-Identifier: BSD-3-Clause */
/* What a Block holds, as a buffer, by index and slice, one byte after another, and compared. */
#ifndef BLOCK_BYTES_H
#define BLOCK_BYTES_H

#include "interpreter.h"

extern PyMappingMethods block_as_mapping;
extern PyBufferProcs block_as_buffer;

/* Equal is what holds equal bytes, as with bytes. A closed Block holds none and is equal to itself alone. */
PyObject *block_compare(PyObject *self, PyObject *other, int operation);

PyObject *block_iterate(PyObject *self);

#endif
