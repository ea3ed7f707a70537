/* SPDX-License-Identifier: BSD-3-Clause */
/* A Block's bytes: lent out as a buffer, and read and written through one. */
#include "block_bytes.h"

#include "block.h"

#include <stdbool.h>
#include <string.h>

static Py_ssize_t block_length(PyObject *self)
{
    struct block *block = (struct block *) self;
    struct hold hold;
    begin_hold(&hold, self);
    Py_ssize_t length = block_is_closed(block) ? -1 : (Py_ssize_t) block->length;
    end_hold(&hold);
    return length;
}

static bool is_open(PyObject *self)
{
    struct hold hold;
    begin_hold(&hold, self);
    bool open = ((struct block *) self)->memory != NULL;
    end_hold(&hold);
    return open;
}

static bool holds_bytes(PyObject *self, const Py_buffer *bytes)
{
    struct block *block = (struct block *) self;
    struct hold hold;
    begin_hold(&hold, self);
    bool equal = block->memory != NULL && (size_t) bytes->len == block->length &&
                 memcmp(block->memory, bytes->buf, block->length) == 0;
    end_hold(&hold);
    return equal;
}

PyObject *block_compare(PyObject *self, PyObject *other, int operation)
{
    if ((operation != Py_EQ && operation != Py_NE) || !is_open(self) || !PyObject_CheckBuffer(other) ||
        (is_block(other) && !is_open(other))) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    Py_buffer bytes;
    if (PyObject_GetBuffer(other, &bytes, PyBUF_SIMPLE) != 0) {
        PyErr_Clear();
        Py_RETURN_NOTIMPLEMENTED;
    }
    bool equal = holds_bytes(self, &bytes);
    PyBuffer_Release(&bytes);
    return PyBool_FromLong(equal == (operation == Py_EQ));
}

/* Indices and slices are a view's. It also keeps the memory in place while Python code runs in between. */
static PyObject *block_get(PyObject *self, PyObject *key)
{
    PyObject *view = PyMemoryView_FromObject(self);
    PyObject *item = view != NULL ? PyObject_GetItem(view, key) : NULL;
    Py_XDECREF(view);
    if (item != NULL && PyMemoryView_Check(item)) {
        Py_SETREF(item, PyBytes_FromObject(item));
    }
    return item;
}

static int block_set(PyObject *self, PyObject *key, PyObject *value)
{
    PyObject *view = PyMemoryView_FromObject(self);
    if (view == NULL) {
        return -1;
    }
    int status = value != NULL ? PyObject_SetItem(view, key, value) : PyObject_DelItem(view, key);
    Py_DECREF(view);
    return status;
}

PyObject *block_iterate(PyObject *self)
{
    PyObject *view = PyMemoryView_FromObject(self);
    PyObject *iterator = view != NULL ? PyObject_GetIter(view) : NULL;
    Py_XDECREF(view);
    return iterator;
}

static int lend(struct block *block, Py_buffer *view, int flags)
{
    if (block->busy) {
        refuse_viewed(block);
        return -1;
    }
    if (block_is_closed(block) ||
        PyBuffer_FillInfo(view, (PyObject *) block, block->memory, (Py_ssize_t) block->length, 0, flags) != 0) {
        return -1;
    }
    block->views++;
    return 0;
}

static int block_lend(PyObject *self, Py_buffer *view, int flags)
{
    struct hold hold;
    view->obj = NULL;
    begin_hold(&hold, self);
    int status = lend((struct block *) self, view, flags);
    end_hold(&hold);
    return status;
}

static void block_take_back(PyObject *self, Py_buffer *view)
{
    struct hold hold;
    (void) view;
    begin_hold(&hold, self);
    ((struct block *) self)->views--;
    end_hold(&hold);
}

PyMappingMethods block_as_mapping = {block_length, block_get, block_set};
PyBufferProcs block_as_buffer = {block_lend, block_take_back};
