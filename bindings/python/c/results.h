/* SPDX-License-Identifier: BSD-3-Clause */
/* From what C calls return to Python: statuses are exceptions, structs and several figures are named tuples. */
#ifndef RESULTS_H
#define RESULTS_H

#include "interpreter.h"
#include "state.h"
#include "zmalloc.h"

#include <stddef.h>

/* What is unknown is None, and no limit is infinite, so the names for them are these. */
int add_results(struct state *state, PyObject *module);

/* An errno, negative, as the exception that Python has for it. */
int check_status(int status, const char *call);

int check_field_status(int status, const char *call, const char *field);

int check_published_status(int status, const char *call, const struct zmalloc_published *published);

/* None for NULL. */
PyObject *from_integer_or_none(const long long *integer);

PyObject *from_known_size(size_t size);

/* Takes the items over, of which some may be NULL: with an exception. */
PyObject *named_tuple(enum result_type which, PyObject **items, Py_ssize_t count);

#define NAMED_TUPLE(which, ...)                                                                                      \
    named_tuple(which, (PyObject *[]){__VA_ARGS__}, sizeof((PyObject *[]){__VA_ARGS__}) / sizeof(PyObject *))

/* Takes the result of the call over, which is NULL where the call itself has none, and on error. */
PyObject *with_usable(PyObject *result, size_t usable);

PyObject *from_allocator_info(const size_t figures[3]);

PyObject *from_decay(const long times[2]);

PyObject *from_memory_limits(const struct zmalloc_memory_limits *limits);

PyObject *from_defrag(const struct zmalloc_defrag *done);

PyObject *from_report(const struct zmalloc_report *report);

PyObject *from_published(const struct zmalloc_published *published);

PyObject *from_fields(const struct zmalloc_field *fields, size_t count);

#endif
