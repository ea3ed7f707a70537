/* SPDX-License-Identifier: BSD-3-Clause */
/* Which Pythons the module comes into: all since 3.9, every interpreter of a process, with a global lock or without.
 */
#ifndef INTERPRETER_H
#define INTERPRETER_H

#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>

#if PY_VERSION_HEX < 0x030A0000
static inline PyObject *new_reference(PyObject *object)
{
    Py_XINCREF(object);
    return object;
}
#define Py_NewRef(object) new_reference((PyObject *) (object))
#define Py_XNewRef(object) new_reference((PyObject *) (object))

static inline int PyModule_AddObjectRef(PyObject *module, const char *name, PyObject *object)
{
    Py_XINCREF(object);
    int status = PyModule_AddObject(module, name, object);
    if (status != 0) {
        Py_XDECREF(object);
    }
    return status;
}
#endif

/* For Python, which then makes the module. */
PyObject *define_module(PyMethodDef *methods);

/* Those that SWIG has listed. */
int add_constants(PyObject *module);

#endif
