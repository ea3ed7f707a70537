/* SPDX-License-Identifier: BSD-3-Clause */
/* Which Pythons the module comes into: the main interpreter of any process, and of any release since 3.9. */
#ifndef INTERPRETER_H
#define INTERPRETER_H

#if PY_VERSION_HEX < 0x030A0000
static PyObject *new_reference(PyObject *object)
{
    Py_XINCREF(object);
    return object;
}
#define Py_NewRef(object) new_reference((PyObject *) (object))
#define Py_XNewRef(object) new_reference((PyObject *) (object))

static int PyModule_AddObjectRef(PyObject *module, const char *name, PyObject *object)
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
static int refuse_subinterpreter(PyObject *module)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "zmalloc can't be used in a subinterpreter: import it in the main one");
        return -1;
    }
    /* Were it -1, as SWIG up to 4.3 has it, another interpreter would be given a copy, and we should not be asked. */
    PyModuleDef *definition = PyModule_GetDef(module);
    if (definition->m_size < 0) {
        definition->m_size = 0;
    }
    return 0;
}

/* The module may be imported again, after sys.modules was cleared; what is alive keeps its type. */
static int init_named_tuple(PyTypeObject *type, PyStructSequence_Desc *description)
{
    return type->tp_name != NULL ? 0 : PyStructSequence_InitType2(type, description);
}

#endif
