/* SPDX-License-Identifier: BSD-3-Clause */
/* The type Block: how one is made, resized and closed. */
#include "block.h"

#include "block_bytes.h"
#include "convert.h"
#include "out_of_memory.h"
#include "pressure.h"
#include "zmalloc.h"

#include <string.h>

static PyObject *make_block(PyObject *how_many, PyObject *aligned)
{
    size_t size;
    size_t alignment;
    if (to_size(how_many, "Block", "size", &size) != 0) {
        return NULL;
    }
    if (aligned == Py_None) {
        void *memory = zcalloc(size);
        return call_failed("Block") ? NULL : after_pressure(from_block(memory, size));
    }
    if (to_alignment(aligned, "Block", "alignment", &alignment) != 0) {
        return NULL;
    }
    void *memory = zaligned_alloc(alignment, size);
    return call_failed("Block") ? NULL : after_pressure(from_aligned_block(memset(memory, 0, size), size));
}

static PyObject *block_make(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"size", "alignment", NULL};
    PyObject *size;
    PyObject *alignment = Py_None;
    (void) type;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|O:Block", names, &size, &alignment)) {
        return NULL;
    }
    return make_block(size, alignment);
}

/* Block(size) is what most ask for; to have its argument in a tuple would take as long as the block itself. */
static PyObject *block_call(PyObject *type, PyObject *const *arguments, size_t flags, PyObject *names)
{
    Py_ssize_t count = PyVectorcall_NARGS(flags);
    if (count == 1 && names == NULL) {
        return make_block(arguments[0], Py_None);
    }
    PyObject *keywords = PyDict_New();
    bool well = keywords != NULL;
    for (Py_ssize_t i = 0; well && names != NULL && i < PyTuple_GET_SIZE(names); i++) {
        well = PyDict_SetItem(keywords, PyTuple_GET_ITEM(names, i), arguments[count + i]) == 0;
    }
    /* Last, so that no garbage collection sees it with empty places. */
    PyObject *tuple = well ? PyTuple_New(count) : NULL;
    well = tuple != NULL;
    for (Py_ssize_t i = 0; well && i < count; i++) {
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(arguments[i]));
    }
    PyObject *block = well ? block_make((PyTypeObject *) type, tuple, keywords) : NULL;
    Py_XDECREF(tuple);
    Py_XDECREF(keywords);
    return block;
}

static void block_dealloc(PyObject *self)
{
    struct block *block = (struct block *) self;
    if (block->weak_references != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    zfree(block->memory);
    PyObject_Free(self);
}

static PyObject *block_close(PyObject *self, PyObject *unused)
{
    struct block *block = (struct block *) self;
    (void) unused;
    if (check_unviewed(block)) {
        return NULL;
    }
    zfree(block->memory);
    forget_memory(block);
    return Py_NewRef(Py_None);
}

/* Unlike zrealloc: 0 bytes are a block too, and what is added is zero. */
static PyObject *block_resize(PyObject *self, PyObject *object)
{
    struct block *block = (struct block *) self;
    size_t size;
    if (to_size(object, "resize", "size", &size) != 0 || block_is_closed(block) || check_unviewed(block)) {
        return NULL;
    }
    start_resize(block);
    char *memory = zrealloc(block->memory, size > 0 ? size : 1);
    end_resize(block);
    if (call_failed("resize")) {
        return NULL;
    }
    if (size > block->length) {
        memset(memory + block->length, 0, size - block->length);
    }
    block->memory = memory;
    block->length = size;
    block->asked = size;
    return after_pressure(Py_NewRef(Py_None));
}

static PyObject *block_enter(PyObject *self, PyObject *unused)
{
    (void) unused;
    return block_is_closed((struct block *) self) ? NULL : Py_NewRef(self);
}

static PyObject *block_exit(PyObject *self, PyObject *unused)
{
    return block_close(self, unused);
}

static PyObject *block_usable(PyObject *self, void *unused)
{
    struct block *block = (struct block *) self;
    (void) unused;
    return block_is_closed(block) ? NULL : PyLong_FromSize_t(zmalloc_usable_size(block->memory));
}

static PyObject *block_repr(PyObject *self)
{
    struct block *block = (struct block *) self;
    return block->memory != NULL ? PyUnicode_FromFormat("<zmalloc.Block, %zu bytes>", block->length)
                                 : PyUnicode_FromString("<zmalloc.Block, closed>");
}

/* For pickle and copy. */
static PyObject *block_reduce(PyObject *self, PyObject *unused)
{
    (void) self;
    (void) unused;
    PyErr_SetString(PyExc_TypeError, "a Block can't be pickled or copied, as it is memory of this process alone: "
                                     "take bytes(block)");
    return NULL;
}

static PyMethodDef block_methods[] = {
    {"close", block_close, METH_NOARGS,
     "close($self, /)\n--\n\nFrees the memory. A closed Block may be closed again."},
    {"resize", block_resize, METH_O,
     "resize($self, size, /)\n--\n\nMakes the Block size bytes long; new bytes are zero."},
    {"__enter__", block_enter, METH_NOARGS, NULL},
    {"__exit__", block_exit, METH_VARARGS, NULL},
    {"__reduce__", block_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef block_properties[] = {
    {"usable", block_usable, NULL, "The bytes that may be used, at least as many as were asked for.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject block_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "zmalloc.Block",
    .tp_doc = "Block(size, alignment=None)\n--\n\n"
              "A block of size zero bytes from zmalloc, freed when it is closed or forgotten.\n\n"
              "With an alignment, a power of two, its address is a multiple of that, until it is resized.\n\n"
              ">>> with zmalloc.Block(5) as block:\n"
              "...     block[:2] = b\"ab\"\n"
              "...     bytes(block)\n"
              "b'ab\\x00\\x00\\x00'",
    .tp_basicsize = sizeof(struct block),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = block_make,
    .tp_vectorcall = block_call,
    .tp_dealloc = block_dealloc,
    .tp_repr = block_repr,
    .tp_hash = PyObject_HashNotImplemented,
    .tp_richcompare = block_compare,
    .tp_weaklistoffset = offsetof(struct block, weak_references),
    .tp_iter = block_iterate,
    .tp_methods = block_methods,
    .tp_getset = block_properties,
    .tp_as_mapping = &block_as_mapping,
    .tp_as_buffer = &block_as_buffer,
};

int add_block_type(PyObject *module)
{
    return PyModule_AddType(module, &block_type);
}
