/* SPDX-License-Identifier: BSD-3-Clause */
/* See interpreter.h. */
#include "interpreter.h"

#include "block.h"
#include "out_of_memory.h"
#include "results.h"
#include "state.h"

static int fill_module(PyObject *module)
{
    struct state *state = begin_state();
    return state == NULL || add_block_type(state, module) != 0 || add_results(state, module) != 0 ||
                   add_constants(module) != 0 || start_handling() != 0
               ? -1
               : 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *) fill_module},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

PyObject *define_module(PyMethodDef *methods)
{
    static PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_zmalloc", .m_slots = slots};
    definition.m_methods = methods;
    return PyModuleDef_Init(&definition);
}
