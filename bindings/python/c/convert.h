/* SPDX-License-Identifier: BSD-3-Clause */
/* From Python's objects to C arguments: each verb returns 0, or -1 with an exception that names call and argument. */
#ifndef CONVERT_H
#define CONVERT_H

#include "interpreter.h"

#include <stddef.h>

int refuse(PyObject *exception, const char *call, const char *argument, const char *what);

int refuse_type(PyObject *object, const char *call, const char *argument, const char *wanted);

int to_size(PyObject *object, const char *call, const char *argument, size_t *size);

int to_alignment(PyObject *object, const char *call, const char *argument, size_t *alignment);

int to_long(PyObject *object, const char *call, const char *argument, long *value);

/* None is this process. */
int to_pid(PyObject *object, const char *call, const char *argument, long *pid);

int to_int(PyObject *object, const char *call, const char *argument, int *value);

int to_switch(PyObject *object, const char *call, const char *argument, int *on);

int to_field(PyObject *object, const char *call, const char *argument, const char **field);

int to_string_or_null(PyObject *object, const char *call, const char *argument, const char **string);

int to_null(PyObject *object, const char *call, const char *argument, void **null);

#endif
