/* SPDX-License-Identifier: BSD-3-Clause */
/* The module: what SWIG has generated, but begun our way. SWIG's own beginning is for one interpreter, with a GIL. */
#define SWIGEXPORT static
#define PyInit__zmalloc swigs_beginning
#include "zmalloc_python.h"
#undef PyInit__zmalloc

PyMODINIT_FUNC PyInit__zmalloc(void);

PyMODINIT_FUNC PyInit__zmalloc(void)
{
    return define_module(SwigMethods);
}

int add_constants(PyObject *module)
{
    for (const swig_const_info *constant = swig_const_table; constant->name != NULL; constant++) {
        int status = constant->pvalue != NULL ? PyModule_AddStringConstant(module, constant->name, constant->pvalue)
                                              : PyModule_AddIntConstant(module, constant->name, constant->lvalue);
        if (status != 0) {
            return -1;
        }
    }
    return 0;
}
