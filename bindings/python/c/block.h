/* SPDX-License-Identifier: BSD-3-Clause */
/* Block: the Python object that owns one zmalloc block, and lends it out as a buffer. */
#ifndef BLOCK_H
#define BLOCK_H

#include "interpreter.h"
#include "locks.h"
#include "out_of_memory.h"
#include "state.h"

#include <stdbool.h>
#include <stddef.h>

/* Whoever looks at what changes here, or at the memory, holds the Block; see locks.h. */
struct block {
    PyObject_HEAD char *memory; /* NULL once closed */
    size_t length;
    size_t asked;     /* the least size that zfree_with_size may be told */
    Py_ssize_t views; /* buffers lent out: they point into the memory, so it stays where it is */
    bool busy;        /* C is at work on the memory: see start_resize */
    PyObject *weak_references;
};

/* The main interpreter's. */
extern PyTypeObject block_type __attribute__((visibility("hidden")));

/* Of an interpreter that has a type of its own. */
int is_other_block(PyObject *object);

static inline int is_block(PyObject *object)
{
    return Py_IS_TYPE(object, &block_type) || is_other_block(object);
}

int block_is_closed(const struct block *block);

/* A BufferError that says which of the two it is. */
int refuse_viewed(const struct block *block);

/* Whether the memory may be freed or moved. NULL, for None, has neither views nor memory. */
static inline int check_unviewed(const struct block *block)
{
    return block != NULL && (block->views > 0 || block->busy) ? refuse_viewed(block) : 0;
}

/* For an argument that may be a Block. */
static inline void hold_if_block(struct hold *hold, PyObject *object)
{
    if (!HAVE_GIL && is_block(object)) {
        begin_hold(hold, object);
    }
}

int to_block_or_null(PyObject *object, const char *call, const char *argument, struct block **block);

/* Takes the memory over; None for NULL. */
PyObject *from_block(void *memory, size_t length);

/* As from_block, for memory from an aligned call. */
PyObject *from_aligned_block(void *memory, size_t length);

static inline void forget_memory(struct block *block)
{
    if (block != NULL) {
        block->memory = NULL;
        block->length = 0;
        block->asked = 0;
    }
}

/*
 * Between these two C may free or move the memory, and an out-of-memory handler may run any Python code, in other
 * threads too. The Block is busy: whoever would close, resize, view or hand it on gets a BufferError, whether or not
 * the handler has C try again. Its length and what it shows stay as they were.
 */
static inline void start_resize(struct block *block)
{
    if (block != NULL) {
        block->busy = true;
        memory_request.old = block->length;
    }
}

static inline void end_resize(struct block *block)
{
    if (block != NULL) {
        block->busy = false;
        memory_request.old = 0;
    }
}

/* The result of a realloc of the block, or of NULL, to length bytes. */
PyObject *from_moved_block(struct block *block, void *memory, size_t length);

int check_extent(struct block *block, size_t length, const char *call);

/* Whether the size is one that zfree_with_size takes for the block. */
int check_known_size(const struct block *block, size_t size, const char *call);

PyObject *from_extended_block(struct block *block, size_t length);

/* Imported again, after sys.modules was cleared, it is the type of before. */
int add_block_type(struct state *state, PyObject *module);

#endif
