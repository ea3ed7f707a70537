/* SPDX-License-Identifier: BSD-3-Clause */
/* See convert.h. */
#include "convert.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

int refuse(PyObject *exception, const char *call, const char *argument, const char *what)
{
    PyErr_Format(exception, "%s: argument '%s' %s", call, argument, what);
    return -1;
}

int refuse_type(PyObject *object, const char *call, const char *argument, const char *wanted)
{
    PyErr_Format(PyExc_TypeError, "%s: argument '%s' must be %s, not %s", call, argument, wanted,
                 Py_TYPE(object)->tp_name);
    return -1;
}

/*
 * True and False are no numbers here, nor is what only says that it is one: it says so in Python code, and that
 * could close a Block which has been converted already.
 */
static bool is_number(PyObject *object)
{
    return PyLong_Check(object) && !PyBool_Check(object);
}

int to_size(PyObject *object, const char *call, const char *argument, size_t *size)
{
    if (!is_number(object)) {
        return refuse_type(object, call, argument, "an int");
    }
    *size = PyLong_AsSize_t(object);
    if (*size != (size_t) -1 || !PyErr_Occurred()) {
        return 0;
    }
    PyErr_Clear();
    int overflow;
    bool negative = PyLong_AsLongLongAndOverflow(object, &overflow) < 0 && overflow <= 0;
    return negative ? refuse(PyExc_ValueError, call, argument, "must not be negative")
                    : refuse(PyExc_OverflowError, call, argument, "is too large");
}

int to_alignment(PyObject *object, const char *call, const char *argument, size_t *alignment)
{
    if (to_size(object, call, argument, alignment) != 0) {
        return -1;
    }
    bool power_of_two = *alignment != 0 && (*alignment & (*alignment - 1)) == 0;
    return power_of_two ? 0 : refuse(PyExc_ValueError, call, argument, "must be a power of two");
}

int to_long(PyObject *object, const char *call, const char *argument, long *value)
{
    if (!is_number(object)) {
        return refuse_type(object, call, argument, "an int");
    }
    int overflow;
    *value = PyLong_AsLongAndOverflow(object, &overflow);
    return overflow == 0 ? 0 : refuse(PyExc_OverflowError, call, argument, "is out of range");
}

int to_pid(PyObject *object, const char *call, const char *argument, long *pid)
{
    if (object == Py_None) {
        *pid = -1;
        return 0;
    }
    return to_long(object, call, argument, pid);
}

int to_int(PyObject *object, const char *call, const char *argument, int *value)
{
    long number;
    if (to_long(object, call, argument, &number) != 0) {
        return -1;
    }
    if (number < INT_MIN || number > INT_MAX) {
        return refuse(PyExc_OverflowError, call, argument, "is out of range");
    }
    *value = (int) number;
    return 0;
}

int to_switch(PyObject *object, const char *call, const char *argument, int *on)
{
    if (PyBool_Check(object)) {
        *on = object == Py_True;
        return 0;
    }
    return to_int(object, call, argument, on);
}

/* The text belongs to the object. */
static int to_text(PyObject *object, const char *call, const char *argument, const char **text)
{
    Py_ssize_t length;
    *text = PyUnicode_AsUTF8AndSize(object, &length);
    if (*text == NULL) {
        return PyErr_ExceptionMatches(PyExc_MemoryError)
                   ? -1
                   : refuse(PyExc_ValueError, call, argument, "can't be encoded as UTF-8");
    }
    if (strlen(*text) != (size_t) length) {
        return refuse(PyExc_ValueError, call, argument, "must not hold a NUL");
    }
    return 0;
}

int to_field(PyObject *object, const char *call, const char *argument, const char **field)
{
    if (!PyUnicode_Check(object)) {
        return refuse_type(object, call, argument, "a str");
    }
    if (to_text(object, call, argument, field) != 0) {
        return -1;
    }
    return **field != '\0' ? 0 : refuse(PyExc_ValueError, call, argument, "must not be empty");
}

int to_string_or_null(PyObject *object, const char *call, const char *argument, const char **string)
{
    if (object == Py_None) {
        *string = NULL;
        return 0;
    }
    if (PyBytes_Check(object)) {
        *string = PyBytes_AS_STRING(object);
        bool whole = strlen(*string) == (size_t) PyBytes_GET_SIZE(object);
        return whole ? 0 : refuse(PyExc_ValueError, call, argument, "must not hold a NUL");
    }
    if (!PyUnicode_Check(object)) {
        return refuse_type(object, call, argument, "a str, bytes or None");
    }
    return to_text(object, call, argument, string);
}

int to_null(PyObject *object, const char *call, const char *argument, void **null)
{
    *null = NULL;
    return object == Py_None ? 0 : refuse_type(object, call, argument, "None, as scripts never hold a libc block");
}
