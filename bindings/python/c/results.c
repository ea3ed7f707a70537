/* SPDX-License-Identifier: BSD-3-Clause */
/* See results.h. */
#include "results.h"

#include "errors.h"
#include "struct_fields.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Types. */

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

static PyStructSequence_Field decay_fields[] = {
    {"dirty_ms", "milliseconds until what is unused becomes muzzy; -1 is never"},
    {"muzzy_ms", "as many more until it is the kernel's; -1 is never"},
    {NULL, NULL},
};

static PyStructSequence_Field mapping_fields[] = {
    {"begin", zmalloc_mapping_begin_doc},
    {"end", zmalloc_mapping_end_doc},
    {"offset", zmalloc_mapping_offset_doc},
    {"permissions", zmalloc_mapping_permissions_doc},
    {"path", zmalloc_mapping_path_doc},
    {"fields", "a dict of bytes by name. " zmalloc_mapping_fields_doc},
    {NULL, NULL},
};

#define MEMORY_LIMIT(name) {#name, zmalloc_memory_limits_##name##_doc},
static PyStructSequence_Field memory_limits_fields[] = {zmalloc_memory_limits_fields(MEMORY_LIMIT){NULL, NULL}};

#define DEFRAG_FIELD(name) {#name, zmalloc_defrag_##name##_doc},
static PyStructSequence_Field defrag_fields[] = {zmalloc_defrag_fields(DEFRAG_FIELD){NULL, NULL}};

#define REPORT_FIELD(name) {#name, zmalloc_report_##name##_doc},
static PyStructSequence_Field report_fields[] = {zmalloc_report_fields(REPORT_FIELD){NULL, NULL}};

#define PUBLISHED_FIELD(name) {#name, zmalloc_published_##name##_doc},
static PyStructSequence_Field published_fields[] = {zmalloc_published_fields(PUBLISHED_FIELD){NULL, NULL}};

#define COUNT(fields) ((int) (sizeof(fields) / sizeof(*(fields))) - 1)

static PyStructSequence_Desc descriptions[RESULT_TYPES] = {
    [USABLE_BLOCK] = {"zmalloc.UsableBlock", "A Block and how much of it may be used.", usable_block_fields, 2},
    [ALLOCATOR_INFO] = {"zmalloc.AllocatorInfo", "What the allocator says of itself.", allocator_info_fields, 3},
    [DECAY] = {"zmalloc.Decay", "When the allocator gives unused pages back.", decay_fields, 2},
    [MAPPING] = {"zmalloc.Mapping", zmalloc_mapping_doc, mapping_fields, COUNT(mapping_fields)},
    [MEMORY_LIMITS] = {"zmalloc.MemoryLimits", zmalloc_memory_limits_doc, memory_limits_fields,
                       COUNT(memory_limits_fields)},
    [DEFRAG] = {"zmalloc.Defrag", zmalloc_defrag_doc, defrag_fields, COUNT(defrag_fields)},
    [REPORT] = {"zmalloc.Report", zmalloc_report_doc, report_fields, COUNT(report_fields)},
    [PUBLISHED] = {"zmalloc.Published", zmalloc_published_doc, published_fields, COUNT(published_fields)},
};

/* For notebooks: it is Python that writes the table. */
static PyObject *report_as_html(PyObject *report, PyObject *unused)
{
    (void) unused;
    PyObject *writer = PyImport_ImportModule("zmalloc._monitor.html");
    PyObject *table = writer != NULL ? PyObject_CallMethod(writer, "report_table", "(O)", report) : NULL;
    Py_XDECREF(writer);
    return table;
}

static PyMethodDef report_html_method = {"_repr_html_", report_as_html, METH_NOARGS, "For notebooks: a table."};

/* A named tuple has no place for methods of its own until it is ready. */
static int add_method(PyTypeObject *type, PyMethodDef *method)
{
    PyObject *descriptor = PyDescr_NewMethod(type, method);
    int status = descriptor != NULL ? PyDict_SetItemString(type->tp_dict, method->ml_name, descriptor) : -1;
    Py_XDECREF(descriptor);
    PyType_Modified(type);
    return status;
}

/* The main interpreter's types are there before any of its objects, and are never freed: those cost least. */
static PyTypeObject *make_type(const struct state *state, enum result_type which)
{
    static PyTypeObject types[RESULT_TYPES];
    PyTypeObject *type = &types[which];
    if (state != &main_state) {
        type = PyStructSequence_NewType(&descriptions[which]);
    } else if (PyStructSequence_InitType2(type, &descriptions[which]) != 0) {
        type = NULL;
    }
    if (type != NULL && which == REPORT && add_method(type, &report_html_method) != 0) {
        return NULL;
    }
    return type;
}

static int add_constant(PyObject *module, const char *name, PyObject *value)
{
    int status = value != NULL ? PyModule_AddObjectRef(module, name, value) : -1;
    Py_XDECREF(value);
    return status;
}

int add_results(struct state *state, PyObject *module)
{
    for (enum result_type which = 0; which < RESULT_TYPES; which++) {
        PyTypeObject **type = &state->result_types[which];
        if (*type == NULL) {
            *type = make_type(state, which);
        }
        if (*type == NULL || PyModule_AddType(module, *type) != 0) {
            return -1;
        }
    }
    return add_constant(module, "ZMALLOC_UNKNOWN", Py_NewRef(Py_None)) != 0 ||
                   add_constant(module, "ZMALLOC_UNKNOWN_DIFFERENCE", Py_NewRef(Py_None)) != 0 ||
                   add_constant(module, "ZMALLOC_NO_LIMIT", PyFloat_FromDouble(INFINITY)) != 0
               ? -1
               : 0;
}

/* Statuses. */

/* Takes the text over. */
static void raise_error(int error, PyObject *text)
{
    if (text == NULL) {
        return;
    }
    PyObject *exception = NULL;
    if (error == EINVAL || error == ENOMEM) {
        PyErr_SetObject(error == EINVAL ? PyExc_ValueError : PyExc_MemoryError, text);
    } else {
        exception = PyObject_CallFunction(PyExc_OSError, "iO", error, text);
    }
    if (exception != NULL) {
        PyErr_SetObject((PyObject *) Py_TYPE(exception), exception);
    }
    Py_XDECREF(exception);
    Py_DECREF(text);
}

int check_status(int status, const char *call)
{
    if (status < 0) {
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): the interpreter's lock is held */
        raise_error(-status, PyUnicode_FromFormat("%s: %s", call, strerror(-status)));
        return -1;
    }
    return 0;
}

int check_field_status(int status, const char *call, const char *field)
{
    if (status == -ENOENT) {
        field_name near;
        raise_error(ENOENT, near_field(field, near)
                                ? PyUnicode_FromFormat("%s: no field '%s': did you mean '%s'?", call, field, near)
                                : PyUnicode_FromFormat("%s: no field '%s'", call, field));
        return -1;
    }
    return check_status(status, call);
}

int check_published_status(int status, const char *call, const struct zmalloc_published *published)
{
    if (status == 0 || status == -EINVAL) {
        return check_status(status, call);
    }
    refusal_text text;
    write_published_error(text, call, -status, published);
    raise_error(-status, PyUnicode_FromString(text));
    return -1;
}

/* Figures: NULL is an exception. */

PyObject *from_known_size(size_t size)
{
    if (size == ZMALLOC_NO_LIMIT) {
        return PyFloat_FromDouble(INFINITY);
    }
    return size != ZMALLOC_UNKNOWN ? PyLong_FromSize_t(size) : Py_NewRef(Py_None);
}

static PyObject *from_difference(int64_t difference)
{
    return difference != ZMALLOC_UNKNOWN_DIFFERENCE ? PyLong_FromLongLong(difference) : Py_NewRef(Py_None);
}

static PyObject *from_ratio(double ratio)
{
    return !isnan(ratio) ? PyFloat_FromDouble(ratio) : Py_NewRef(Py_None);
}

static PyObject *from_whole(uint64_t number)
{
    return PyLong_FromUnsignedLongLong(number);
}

#define FROM_PUBLISHED(figure)                                                                                       \
    _Generic((figure), size_t : from_known_size, const char * : PyUnicode_FromString, default : from_whole)(figure)

#define FROM_FIGURE(figure)                                                                                          \
    _Generic((figure), size_t : from_known_size, int64_t : from_difference, double : from_ratio)(figure)

/* In an interpreter that is not the main one. */
__attribute__((cold, noinline)) static PyObject *new_other_tuple(enum result_type which)
{
    PyTypeObject *type = find_state()->result_types[which];
    return type != NULL ? PyStructSequence_New(type) : PyErr_NoMemory();
}

PyObject *named_tuple(enum result_type which, PyObject **items, Py_ssize_t count)
{
    PyObject *tuple =
        !has_other_states() ? PyStructSequence_New(main_state.result_types[which]) : new_other_tuple(which);
    bool whole = tuple != NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        whole = whole && items[i] != NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (whole) {
            PyStructSequence_SET_ITEM(tuple, i, items[i]);
        } else {
            Py_XDECREF(items[i]);
        }
    }
    if (!whole) {
        Py_CLEAR(tuple);
    }
    return tuple;
}

PyObject *with_usable(PyObject *result, size_t usable)
{
    if (PyErr_Occurred()) {
        return NULL;
    }
    PyObject *figure = PyLong_FromSize_t(usable);
    return result != NULL ? NAMED_TUPLE(USABLE_BLOCK, result, figure) : figure;
}

PyObject *from_allocator_info(const size_t figures[3])
{
    return NAMED_TUPLE(ALLOCATOR_INFO, from_known_size(figures[0]), from_known_size(figures[1]),
                       from_known_size(figures[2]));
}

PyObject *from_decay(const long times[2])
{
    return NAMED_TUPLE(DECAY, PyLong_FromLong(times[0]), PyLong_FromLong(times[1]));
}

PyObject *from_memory_limits(const struct zmalloc_memory_limits *limits)
{
#define LIMIT(name) from_known_size(limits->name),
    return NAMED_TUPLE(MEMORY_LIMITS, zmalloc_memory_limits_fields(LIMIT));
}

PyObject *from_defrag(const struct zmalloc_defrag *done)
{
#define COUNTED(name) PyLong_FromSize_t(done->name),
    return NAMED_TUPLE(DEFRAG, zmalloc_defrag_fields(COUNTED));
}

PyObject *from_report(const struct zmalloc_report *report)
{
#define FIGURE(name) FROM_FIGURE(report->name),
    return NAMED_TUPLE(REPORT, zmalloc_report_fields(FIGURE));
}

PyObject *from_published(const struct zmalloc_published *published)
{
#define TOLD(name) FROM_PUBLISHED(published->name),
    return NAMED_TUPLE(PUBLISHED, zmalloc_published_fields(TOLD));
}

PyObject *from_fields(const struct zmalloc_field *fields, size_t count)
{
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < count; i++) {
        PyObject *bytes = PyLong_FromSize_t(fields[i].bytes);
        if (bytes == NULL || PyDict_SetItemString(dict, fields[i].name, bytes) != 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(bytes);
    }
    return dict;
}

PyObject *from_integer_or_none(const long long *integer)
{
    return integer != NULL ? PyLong_FromLongLong(*integer) : Py_NewRef(Py_None);
}
