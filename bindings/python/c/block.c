/* SPDX-License-Identifier: BSD-3-Clause */
/* See block.h. */
#include "block.h"

#include "convert.h"
#include "zmalloc.h"

int block_is_closed(const struct block *block)
{
    if (block->memory == NULL) {
        PyErr_SetString(PyExc_ValueError, "the Block is closed");
        return 1;
    }
    return 0;
}

int refuse_viewed(const struct block *block)
{
    PyErr_SetString(PyExc_BufferError, block->busy
                                           ? "the Block is being resized: it can't be freed, viewed or resized"
                                           : "the Block has live views: it can't be freed, moved or resized");
    return 1;
}

/* All but a Block of the main interpreter that can be used; apart, so that those take fewest instructions. */
__attribute__((cold, noinline)) static int to_rare_block(PyObject *object, const char *call, const char *argument,
                                                         struct block **block)
{
    if (object == Py_None) {
        *block = NULL;
        return 0;
    }
    if (!is_block(object)) {
        return refuse_type(object, call, argument, "a Block or None");
    }
    *block = (struct block *) object;
    if ((*block)->busy) {
        return refuse(PyExc_BufferError, call, argument, "is a Block that is being resized");
    }
    return (*block)->memory != NULL ? 0 : refuse(PyExc_ValueError, call, argument, "is a closed Block");
}

int to_block_or_null(PyObject *object, const char *call, const char *argument, struct block **block)
{
    struct block *given = (struct block *) object;
    if (Py_IS_TYPE(object, &block_type) && !given->busy && given->memory != NULL) {
        *block = given;
        return 0;
    }
    return to_rare_block(object, call, argument, block);
}

/* In an interpreter that is not the main one. */
__attribute__((cold, noinline)) static struct block *new_other_block(void)
{
    PyTypeObject *type = find_state()->block_type;
    return type != NULL ? PyObject_New(struct block, type) : (struct block *) PyErr_NoMemory();
}

PyObject *from_block(void *memory, size_t length)
{
    if (memory == NULL) {
        return Py_NewRef(Py_None);
    }
    struct block *block = !has_other_states() ? PyObject_New(struct block, &block_type) : new_other_block();
    if (block == NULL) {
        zfree(memory);
        return NULL;
    }
    block->memory = memory;
    block->length = length;
    block->asked = length;
    block->views = 0;
    block->busy = false;
    block->weak_references = NULL;
    return (PyObject *) block;
}

PyObject *from_aligned_block(void *memory, size_t length)
{
    PyObject *block = from_block(memory, length);
    if (block != NULL && block != Py_None) {
        ((struct block *) block)->asked = zmalloc_usable_size(memory);
    }
    return block;
}

PyObject *from_moved_block(struct block *block, void *memory, size_t length)
{
    if (block == NULL) {
        return from_block(memory, length);
    }
    if (memory != NULL) {
        block->memory = memory;
        block->length = length;
        block->asked = length;
        return Py_NewRef(block);
    }
    if (length == 0) {
        forget_memory(block);
    }
    return Py_NewRef(Py_None);
}

int check_extent(struct block *block, size_t length, const char *call)
{
    size_t usable = block != NULL ? zmalloc_usable_size(block->memory) : 0;
    if (length > usable) {
        PyErr_Format(PyExc_ValueError, "%s: argument 'size' is above the %zu bytes that may be used", call, usable);
        return -1;
    }
    return 0;
}

int check_known_size(const struct block *block, size_t size, const char *call)
{
    size_t usable = block != NULL ? zmalloc_usable_size(block->memory) : 0;
    if (block != NULL && (size < block->asked || size > usable)) {
        PyErr_Format(PyExc_ValueError, "%s: argument 'size' must be from %zu to %zu for this Block", call,
                     block->asked, usable);
        return -1;
    }
    return 0;
}

PyObject *from_extended_block(struct block *block, size_t length)
{
    if (block == NULL) {
        return Py_NewRef(Py_None);
    }
    block->length = length;
    return Py_NewRef(block);
}
