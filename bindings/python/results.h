/* SPDX-License-Identifier: BSD-3-Clause */
/* From what C calls return to Python: statuses are exceptions, several figures are named tuples. */
#ifndef RESULTS_H
#define RESULTS_H

#include <errno.h>
#include <string.h>

static PyTypeObject usable_block_type;
static PyTypeObject allocator_info_type;

static PyStructSequence_Field usable_block_fields[] = {
    {"block", "the Block, or None"},
    {"usable", "the bytes of it that may be used"},
    {NULL, NULL},
};

static PyStructSequence_Field allocator_info_fields[] = {
    {"allocated", "bytes in blocks handed out to the program"},
    {"active", "bytes in pages that hold such blocks"},
    {"resident", "bytes that the allocator holds from the kernel"},
    {NULL, NULL},
};

static PyStructSequence_Desc usable_block = {
    "zmalloc.UsableBlock", "A Block and how much of it may be used.", usable_block_fields, 2};
static PyStructSequence_Desc allocator_info = {
    "zmalloc.AllocatorInfo", "What the allocator says of itself.", allocator_info_fields, 3};

static int add_result_types(PyObject *module)
{
    if (PyStructSequence_InitType2(&usable_block_type, &usable_block) != 0 ||
        PyStructSequence_InitType2(&allocator_info_type, &allocator_info) != 0) {
        return -1;
    }
    return PyModule_AddType(module, &usable_block_type) != 0 ||
           PyModule_AddType(module, &allocator_info_type) != 0 ? -1 : 0;
}

/* An errno, negative, as the exception that Python has for it. */
static void raise_status(const char *call, int status)
{
    if (status == -EINVAL) {
        PyErr_Format(PyExc_ValueError, "%s: %s", call, strerror(-status));
        return;
    }
    PyObject *text = PyUnicode_FromFormat("%s: %s", call, strerror(-status));
    PyObject *error = text != NULL ? PyObject_CallFunction(PyExc_OSError, "iO", -status, text) : NULL;
    if (error != NULL) {
        PyErr_SetObject((PyObject *) Py_TYPE(error), error);
    }
    Py_XDECREF(error);
    Py_XDECREF(text);
}

/* Takes the result of the call over, which is NULL where the call itself has none, and on error. */
static PyObject *with_usable(PyObject *result, size_t usable)
{
    if (PyErr_Occurred()) {
        return NULL;
    }
    PyObject *figure = PyLong_FromSize_t(usable);
    if (result == NULL) {
        return figure;
    }
    PyObject *pair = PyStructSequence_New(&usable_block_type);
    if (pair == NULL || figure == NULL) {
        Py_XDECREF(pair);
        Py_XDECREF(figure);
        Py_DECREF(result);
        return NULL;
    }
    PyStructSequence_SET_ITEM(pair, 0, result);
    PyStructSequence_SET_ITEM(pair, 1, figure);
    return pair;
}

static PyObject *allocator_figures(const size_t figures[3])
{
    PyObject *info = PyStructSequence_New(&allocator_info_type);
    for (Py_ssize_t i = 0; info != NULL && i < 3; i++) {
        PyObject *figure = PyLong_FromSize_t(figures[i]);
        if (figure == NULL) {
            Py_DECREF(info);
            return NULL;
        }
        PyStructSequence_SET_ITEM(info, i, figure);
    }
    return info;
}

#endif
