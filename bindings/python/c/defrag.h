/* SPDX-License-Identifier: BSD-3-Clause */
/* Fragmentation: lists of Blocks in place of C's arrays of pointers. */
#ifndef DEFRAG_H
#define DEFRAG_H

#include "interpreter.h"
#include "zmalloc.h"

/* A list or a tuple, whatever it holds. */
int to_blocks(PyObject *object, const char *call, const char *argument, PyObject **blocks);

/*
 * In place of C's calls. A Block that is closed, viewed or being resized must stay where it is, and is not asked
 * about. What is neither a Block nor None is an exception when it comes to it, after those before it.
 */
int defrag_blocks(PyObject *blocks, size_t start, size_t max_us, struct zmalloc_defrag *done, int *status);
int hint_blocks(PyObject *blocks, PyObject **hints, int *status);

#endif
