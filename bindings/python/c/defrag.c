/* SPDX-License-Identifier: BSD-3-Clause */
/* See defrag.h. */
#include "defrag.h"

#include "block.h"
#include "convert.h"
#include "defrag_steps.h"

#include <stdbool.h>

int to_blocks(PyObject *object, const char *call, const char *argument, PyObject **blocks)
{
    *blocks = object;
    return PyList_CheckExact(object) || PyTuple_CheckExact(object)
               ? 0
               : refuse_type(object, call, argument, "a list or a tuple of Blocks");
}

/* NULL, without an exception, for None and for a Block that must stay as it is. */
static int block_at(PyObject *blocks, size_t i, const char *call, struct block **block)
{
    PyObject *item = PySequence_Fast_GET_ITEM(blocks, (Py_ssize_t) i);
    *block = NULL;
    if (item == Py_None) {
        return 0;
    }
    if (!Py_IS_TYPE(item, &block_type)) {
        PyErr_Format(PyExc_TypeError, "%s: argument 'blocks' must hold Blocks or None, and holds %s at %zu", call,
                     Py_TYPE(item)->tp_name, i);
        return -1;
    }
    struct block *found = (struct block *) item;
    if (found->memory != NULL && found->views == 0 && !found->busy) {
        *block = found;
    }
    return 0;
}

/* No Python code runs in between, so the list stays as it is. */
int defrag_blocks(PyObject *blocks, size_t start, size_t max_us, struct zmalloc_defrag *done, int *status)
{
    struct defrag_steps steps;
    size_t count = (size_t) PySequence_Fast_GET_SIZE(blocks);
    *status = defrag_begin(&steps, start, max_us);
    while (*status == 0 && steps.sums.position < count && defrag_is_in_time(&steps)) {
        struct block *block;
        if (block_at(blocks, steps.sums.position, "zmalloc_defrag", &block) != 0) {
            return -1;
        }
        *status = defrag_step(&steps, block != NULL ? &block->memory : NULL);
    }
    *done = steps.sums;
    return 0;
}

/* The list is nobody else's before it is whole. */
int hint_blocks(PyObject *blocks, PyObject **hints, int *status)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(blocks);
    PyObject *list = PyList_New(count);
    if (list == NULL) {
        return -1;
    }
    *status = zmalloc_defrag_hints(NULL, 0, NULL);
    for (Py_ssize_t i = 0; i < count && *status == 0; i++) {
        struct block *block;
        int helps = 0;
        if (block_at(blocks, (size_t) i, "zmalloc_defrag_hints", &block) != 0) {
            Py_DECREF(list);
            return -1;
        }
        *status = block != NULL ? zmalloc_defrag_hint(block->memory, &helps) : 0;
        PyList_SET_ITEM(list, i, PyBool_FromLong(helps));
    }
    if (*status != 0) {
        Py_CLEAR(list);
    }
    *hints = list;
    return 0;
}
