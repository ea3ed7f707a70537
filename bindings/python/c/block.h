/* SPDX-License-Identifier: BSD-3-Clause */
/* Block: the Python object that owns one zmalloc block, and lends it out as a buffer. */
#ifndef BLOCK_H
#define BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct block {
    PyObject_HEAD char *memory; /* NULL once closed */
    size_t length;
    size_t asked;     /* the least size that zfree_with_size may be told */
    Py_ssize_t views; /* buffers lent out: they point into the memory, so it stays where it is */
    PyObject *weak_references;
};

static PyTypeObject block_type;

static int block_is_closed(const struct block *block)
{
    if (block->memory == NULL) {
        PyErr_SetString(PyExc_ValueError, "the Block is closed");
        return 1;
    }
    return 0;
}

/* NULL, for None, has no views. */
static int block_is_viewed(const struct block *block)
{
    if (block != NULL && block->views > 0) {
        PyErr_SetString(PyExc_BufferError, "the Block has live views: it can't be freed, moved or resized");
        return 1;
    }
    return 0;
}

static int to_block_or_null(PyObject *object, const char *call, const char *argument, struct block **block)
{
    if (object == Py_None) {
        *block = NULL;
        return 0;
    }
    if (!Py_IS_TYPE(object, &block_type)) {
        return refuse_type(object, call, argument, "a Block or None");
    }
    *block = (struct block *) object;
    return (*block)->memory != NULL ? 0 : refuse(PyExc_ValueError, call, argument, "is a closed Block");
}

/* Takes the memory over; None for NULL. */
static PyObject *new_block(void *memory, size_t length)
{
    if (memory == NULL) {
        Py_RETURN_NONE;
    }
    struct block *block = PyObject_New(struct block, &block_type);
    if (block == NULL) {
        zfree(memory);
        return NULL;
    }
    block->memory = memory;
    block->length = length;
    block->asked = length;
    block->views = 0;
    block->weak_references = NULL;
    return (PyObject *) block;
}

/* As new_block, for memory from an aligned call. */
static PyObject *new_aligned_block(void *memory, size_t length)
{
    PyObject *block = new_block(memory, length);
    if (block != NULL && block != Py_None) {
        ((struct block *) block)->asked = zmalloc_usable_size(memory);
    }
    return block;
}

static void forget_memory(struct block *block)
{
    if (block != NULL) {
        block->memory = NULL;
        block->length = 0;
        block->asked = 0;
    }
}

/* Keeps a handler that has C try again from closing the block. Tells whether it does. */
static bool hold_block(struct block *block)
{
    bool holds = block != NULL && handler_answers;
    if (holds) {
        block->views++;
    }
    return holds;
}

static void let_go_of_block(struct block *block)
{
    block->views--;
}

/* The result of a realloc of the block, or of NULL, to length bytes. */
static PyObject *moved_block(struct block *block, void *memory, size_t length)
{
    if (block == NULL) {
        return new_block(memory, length);
    }
    if (memory != NULL) {
        block->memory = memory;
        block->length = length;
        block->asked = length;
        return Py_NewRef(block);
    }
    if (length == 0) {
        forget_memory(block);
    }
    Py_RETURN_NONE;
}

static int check_extent(struct block *block, size_t length, const char *call)
{
    size_t usable = block != NULL ? zmalloc_usable_size(block->memory) : 0;
    if (length > usable) {
        PyErr_Format(PyExc_ValueError, "%s: argument 'size' is above the %zu bytes that may be used", call, usable);
        return -1;
    }
    return 0;
}

/* Whether the size is one that zfree_with_size takes for the block. */
static int check_known_size(const struct block *block, size_t size, const char *call)
{
    size_t usable = block != NULL ? zmalloc_usable_size(block->memory) : 0;
    if (block != NULL && (size < block->asked || size > usable)) {
        PyErr_Format(PyExc_ValueError, "%s: argument 'size' must be from %zu to %zu for this Block", call,
                     block->asked, usable);
        return -1;
    }
    return 0;
}

static PyObject *extended_block(struct block *block, size_t length)
{
    if (block == NULL) {
        Py_RETURN_NONE;
    }
    block->length = length;
    return Py_NewRef(block);
}

/* The type's own verbs. */

static PyObject *make_block(PyObject *how_many, PyObject *aligned)
{
    size_t size;
    size_t alignment;
    if (to_size(how_many, "Block", "size", &size) != 0) {
        return NULL;
    }
    if (aligned == Py_None) {
        void *memory = zcalloc(size);
        return call_failed("Block") ? NULL : after_pressure(new_block(memory, size));
    }
    if (to_alignment(aligned, "Block", "alignment", &alignment) != 0) {
        return NULL;
    }
    void *memory = zaligned_alloc(alignment, size);
    return call_failed("Block") ? NULL : after_pressure(new_aligned_block(memset(memory, 0, size), size));
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
    PyObject *tuple = PyTuple_New(count);
    PyObject *keywords = PyDict_New();
    bool well = tuple != NULL && keywords != NULL;
    for (Py_ssize_t i = 0; well && i < count; i++) {
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(arguments[i]));
    }
    for (Py_ssize_t i = 0; well && names != NULL && i < PyTuple_GET_SIZE(names); i++) {
        well = PyDict_SetItem(keywords, PyTuple_GET_ITEM(names, i), arguments[count + i]) == 0;
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
    if (block_is_viewed(block)) {
        return NULL;
    }
    zfree(block->memory);
    forget_memory(block);
    Py_RETURN_NONE;
}

/* Unlike zrealloc: 0 bytes are a block too, and what is added is zero. */
static PyObject *block_resize(PyObject *self, PyObject *object)
{
    struct block *block = (struct block *) self;
    size_t size;
    if (to_size(object, "resize", "size", &size) != 0 || block_is_closed(block) || block_is_viewed(block)) {
        return NULL;
    }
    bool held = hold_block(block);
    char *memory = zrealloc(block->memory, size > 0 ? size : 1);
    if (held) {
        let_go_of_block(block);
    }
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

static Py_ssize_t block_length(PyObject *self)
{
    struct block *block = (struct block *) self;
    return block_is_closed(block) ? -1 : (Py_ssize_t) block->length;
}

/* Equal is what holds equal bytes, as with bytes. A closed Block holds none and is equal to itself alone. */
static PyObject *block_compare(PyObject *self, PyObject *other, int operation)
{
    struct block *block = (struct block *) self;
    if ((operation != Py_EQ && operation != Py_NE) || block->memory == NULL || !PyObject_CheckBuffer(other) ||
        (Py_IS_TYPE(other, &block_type) && ((struct block *) other)->memory == NULL)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    Py_buffer bytes;
    if (PyObject_GetBuffer(other, &bytes, PyBUF_SIMPLE) != 0) {
        PyErr_Clear();
        Py_RETURN_NOTIMPLEMENTED;
    }
    bool equal = block->memory != NULL && (size_t) bytes.len == block->length &&
                 memcmp(block->memory, bytes.buf, block->length) == 0;
    PyBuffer_Release(&bytes);
    return PyBool_FromLong(equal == (operation == Py_EQ));
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

static PyObject *block_iterate(PyObject *self)
{
    PyObject *view = PyMemoryView_FromObject(self);
    PyObject *iterator = view != NULL ? PyObject_GetIter(view) : NULL;
    Py_XDECREF(view);
    return iterator;
}

static int block_lend(PyObject *self, Py_buffer *view, int flags)
{
    struct block *block = (struct block *) self;
    view->obj = NULL;
    if (block_is_closed(block) ||
        PyBuffer_FillInfo(view, self, block->memory, (Py_ssize_t) block->length, 0, flags) != 0) {
        return -1;
    }
    block->views++;
    return 0;
}

static void block_take_back(PyObject *self, Py_buffer *view)
{
    (void) view;
    ((struct block *) self)->views--;
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

static PyMappingMethods block_as_mapping = {block_length, block_get, block_set};
static PyBufferProcs block_as_buffer = {block_lend, block_take_back};

static PyTypeObject block_type = {
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

static int add_block_type(PyObject *module)
{
    return PyModule_AddType(module, &block_type);
}

#endif
