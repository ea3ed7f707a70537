/* SPDX-License-Identifier: BSD-3-Clause */
/* The type Block: how one is made, resized and closed. */
#include "block.h"

#include "block_bytes.h"
#include "convert.h"
#include "out_of_memory.h"
#include "pressure.h"
#include "state.h"
#include "zmalloc.h"

#include <string.h>
#include <structmember.h>

#ifdef Py_TPFLAGS_IMMUTABLETYPE
#define IMMUTABLE Py_TPFLAGS_IMMUTABLETYPE
#else
#define IMMUTABLE 0
#endif

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

static int close_block(struct block *block)
{
    if (check_unviewed(block)) {
        return -1;
    }
    zfree(block->memory);
    forget_memory(block);
    return 0;
}

static PyObject *block_close(PyObject *self, PyObject *unused)
{
    struct hold hold;
    (void) unused;
    begin_hold(&hold, self);
    int status = close_block((struct block *) self);
    end_hold(&hold);
    return status == 0 ? Py_NewRef(Py_None) : NULL;
}

/* Unlike zrealloc: 0 bytes are a block too, and what is added is zero. */
static int resize_block(struct block *block, size_t size)
{
    if (block_is_closed(block) || check_unviewed(block)) {
        return -1;
    }
    start_resize(block);
    char *memory = zrealloc(block->memory, size > 0 ? size : 1);
    end_resize(block);
    if (call_failed("resize")) {
        return -1;
    }
    if (size > block->length) {
        memset(memory + block->length, 0, size - block->length);
    }
    block->memory = memory;
    block->length = size;
    block->asked = size;
    return 0;
}

static PyObject *block_resize(PyObject *self, PyObject *object)
{
    size_t size;
    if (to_size(object, "resize", "size", &size) != 0) {
        return NULL;
    }
    struct hold hold;
    begin_hold(&hold, self);
    int status = resize_block((struct block *) self, size);
    end_hold(&hold);
    return status == 0 ? after_pressure(Py_NewRef(Py_None)) : NULL;
}

static PyObject *block_enter(PyObject *self, PyObject *unused)
{
    struct hold hold;
    (void) unused;
    begin_hold(&hold, self);
    int closed = block_is_closed((struct block *) self);
    end_hold(&hold);
    return closed ? NULL : Py_NewRef(self);
}

static PyObject *block_exit(PyObject *self, PyObject *unused)
{
    return block_close(self, unused);
}

static PyObject *block_usable(PyObject *self, void *unused)
{
    struct block *block = (struct block *) self;
    struct hold hold;
    (void) unused;
    begin_hold(&hold, self);
    int closed = block_is_closed(block);
    size_t usable = closed ? 0 : zmalloc_usable_size(block->memory);
    end_hold(&hold);
    return closed ? NULL : PyLong_FromSize_t(usable);
}

static PyObject *block_repr(PyObject *self)
{
    struct block *block = (struct block *) self;
    struct hold hold;
    begin_hold(&hold, self);
    bool open = block->memory != NULL;
    size_t length = block->length;
    end_hold(&hold);
    return open ? PyUnicode_FromFormat("<zmalloc.Block, %zu bytes>", length)
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

/* Another interpreter's type, which can be freed: each Block holds it. */
static void other_block_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    block_dealloc(self);
    Py_DECREF(type);
}

int is_other_block(PyObject *object)
{
    return Py_TYPE(object)->tp_dealloc == other_block_dealloc;
}

static PyTypeObject *make_other_type(void)
{
    static PyMemberDef members[] = {
        {"__weaklistoffset__", T_PYSSIZET, offsetof(struct block, weak_references), READONLY, NULL},
        {NULL, 0, 0, 0, NULL},
    };
    PyType_Slot slots[] = {
        {Py_tp_doc, (void *) block_type.tp_doc},
        {Py_tp_new, (void *) block_make},
        {Py_tp_dealloc, (void *) other_block_dealloc},
        {Py_tp_repr, (void *) block_repr},
        {Py_tp_hash, (void *) PyObject_HashNotImplemented},
        {Py_tp_richcompare, (void *) block_compare},
        {Py_tp_iter, (void *) block_iterate},
        {Py_tp_methods, block_methods},
        {Py_tp_getset, block_properties},
        {Py_tp_members, members},
        {Py_mp_length, (void *) block_as_mapping.mp_length},
        {Py_mp_subscript, (void *) block_as_mapping.mp_subscript},
        {Py_mp_ass_subscript, (void *) block_as_mapping.mp_ass_subscript},
        {Py_bf_getbuffer, (void *) block_as_buffer.bf_getbuffer},
        {Py_bf_releasebuffer, (void *) block_as_buffer.bf_releasebuffer},
        {0, NULL},
    };
    PyType_Spec spec = {block_type.tp_name, sizeof(struct block), 0, Py_TPFLAGS_DEFAULT | IMMUTABLE, slots};
    PyTypeObject *type = (PyTypeObject *) PyType_FromSpec(&spec);
    if (type != NULL) {
        type->tp_vectorcall = block_call;
    }
    return type;
}

int add_block_type(struct state *state, PyObject *module)
{
    if (state->block_type == NULL) {
        state->block_type = state == &main_state ? &block_type : make_other_type();
    }
    return state->block_type != NULL ? PyModule_AddType(module, state->block_type) : -1;
}
