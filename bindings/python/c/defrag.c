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

/* A Block that is held; NULL for None and for a Block that must stay as it is. */
struct found {
    struct block *block;
    PyObject *item;
    struct hold hold;
};

static void leave_block(struct found *found)
{
    end_hold(&found->hold);
    Py_XDECREF(found->item);
}

static int find_block(PyObject *blocks, size_t i, const char *call, struct found *found)
{
    *found = (struct found){.item = item_at(blocks, (Py_ssize_t) i)};
    if (found->item == NULL || found->item == Py_None) {
        return 0;
    }
    if (!is_block(found->item)) {
        PyErr_Format(PyExc_TypeError, "%s: argument 'blocks' must hold Blocks or None, and holds %s at %zu", call,
                     Py_TYPE(found->item)->tp_name, i);
        leave_block(found);
        return -1;
    }
    begin_hold(&found->hold, found->item);
    struct block *block = (struct block *) found->item;
    if (block->memory != NULL && block->views == 0 && !block->busy) {
        found->block = block;
    }
    return 0;
}

/* No Python code of this thread runs in between. */
int defrag_blocks(PyObject *blocks, size_t start, size_t max_us, struct zmalloc_defrag *done, int *status)
{
    struct defrag_steps steps;
    size_t count = (size_t) PySequence_Fast_GET_SIZE(blocks);
    *status = defrag_begin(&steps, start, max_us);
    while (*status == 0 && steps.sums.position < count && defrag_is_in_time(&steps)) {
        struct found found;
        if (find_block(blocks, steps.sums.position, "zmalloc_defrag", &found) != 0) {
            return -1;
        }
        *status = defrag_step(&steps, found.block != NULL ? &found.block->memory : NULL);
        leave_block(&found);
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
        struct found found;
        int helps = 0;
        if (find_block(blocks, (size_t) i, "zmalloc_defrag_hints", &found) != 0) {
            Py_DECREF(list);
            return -1;
        }
        *status = found.block != NULL ? zmalloc_defrag_hint(found.block->memory, &helps) : 0;
        leave_block(&found);
        PyList_SET_ITEM(list, i, PyBool_FromLong(helps));
    }
    if (*status != 0) {
        Py_CLEAR(list);
    }
    *hints = list;
    return 0;
}
