/* SPDX-License-Identifier: BSD-3-Clause */
/* See interpreter.h. */
#include "interpreter.h"

int refuse_subinterpreter(PyObject *module)
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

int init_named_tuple(PyTypeObject *type, PyStructSequence_Desc *description)
{
    return type->tp_name != NULL ? 0 : PyStructSequence_InitType2(type, description);
}
