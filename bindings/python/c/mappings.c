/* SPDX-License-Identifier: BSD-3-Clause */
/* See mappings.h. */
#include "mappings.h"

#include "results.h"

#include <stdbool.h>
#include <string.h>

/* What the mapping before was made of. */
struct shared_parts {
    PyObject *keys[ZMALLOC_MOST_FIELDS];
    size_t key_count;
    const record_name *names; /* which the keys are for */
    PyObject *fields;         /* a dict of those keys, or NULL */
    const size_t *figures;    /* which the dict is of */
    PyObject *permissions;
    const char *permissions_text;
    PyObject *path;
    const char *path_text;
};

static void drop_keys(struct shared_parts *parts)
{
    Py_CLEAR(parts->fields);
    for (size_t i = 0; i < parts->key_count; i++) {
        Py_DECREF(parts->keys[i]);
    }
    parts->key_count = 0;
}

static int share_keys(struct shared_parts *parts, const record_name *names, size_t count)
{
    if (parts->names == names) {
        return 0;
    }
    drop_keys(parts);
    parts->names = names;
    for (; parts->key_count < count; parts->key_count++) {
        parts->keys[parts->key_count] = PyUnicode_InternFromString(names[parts->key_count]);
        if (parts->keys[parts->key_count] == NULL) {
            return -1;
        }
    }
    return 0;
}

/* The text as a str: that of before if it is the same. */
static PyObject *share_text(PyObject **shared, const char **shared_text, const char *text)
{
    if (*shared == NULL || strcmp(*shared_text, text) != 0) {
        Py_XSETREF(*shared, PyUnicode_DecodeFSDefault(text));
        *shared_text = text;
    }
    return Py_XNewRef(*shared);
}

/* Most figures are as in the mapping before, and to copy a dict costs less than to fill one. */
static PyObject *share_figures(struct shared_parts *parts, const size_t *figures)
{
    bool first = parts->fields == NULL;
    PyObject *dict = first ? PyDict_New() : PyDict_Copy(parts->fields);
    for (size_t i = 0; dict != NULL && i < parts->key_count; i++) {
        if (!first && figures[i] == parts->figures[i]) {
            continue;
        }
        PyObject *bytes = PyLong_FromSize_t(figures[i]);
        if (bytes == NULL || PyDict_SetItem(dict, parts->keys[i], bytes) != 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(bytes);
    }
    Py_XSETREF(parts->fields, Py_XNewRef(dict));
    parts->figures = figures;
    return dict;
}

static PyObject *from_record(struct shared_parts *parts, const struct records *records, const struct record *record)
{
    if (share_keys(parts, record_names(records, record), record->count) != 0) {
        return NULL;
    }
    return NAMED_TUPLE(MAPPING, PyLong_FromUnsignedLongLong(record->begin), PyLong_FromUnsignedLongLong(record->end),
                       PyLong_FromUnsignedLongLong(record->offset),
                       share_text(&parts->permissions, &parts->permissions_text, record->permissions),
                       share_text(&parts->path, &parts->path_text, record_path(record)),
                       share_figures(parts, record_figures(record)));
}

PyObject *from_records(const struct records *records)
{
    PyObject *list = PyList_New((Py_ssize_t) records->count);
    if (list != NULL) {
        /* Its places are empty, and making what goes there may collect garbage: nobody is to find it by gc before it
         * is full. Mappings are never tracked, and their dicts, of numbers, not while they are filled. */
        PyObject_GC_UnTrack(list);
    }
    struct shared_parts parts = {0};
    size_t position = 0;
    for (size_t i = 0; list != NULL && i < records->count; i++) {
        const struct record *record = record_at(records, position);
        PyObject *mapping = from_record(&parts, records, record);
        if (mapping == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, (Py_ssize_t) i, mapping);
        position += record->size;
    }
    drop_keys(&parts);
    Py_XDECREF(parts.permissions);
    Py_XDECREF(parts.path);
    if (list != NULL) {
        PyObject_GC_Track(list);
    }
    return list;
}
