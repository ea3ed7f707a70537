/* SPDX-License-Identifier: BSD-3-Clause */
/* Which Pythons the module comes into: the main interpreter of any process, and of any release since 3.9. */
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

/* The types, the handler and the counters are the process's: interpreters of their own can't share them. */
int refuse_subinterpreter(PyObject *module);

/* The module may be imported again, after sys.modules was cleared; what is alive keeps its type. */
int init_named_tuple(PyTypeObject *type, PyStructSequence_Desc *description);

#endif
