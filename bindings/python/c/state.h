/* SPDX-License-Identifier: BSD-3-Clause */
/* What each interpreter of the process has of its own: types and handlers. Blocks and limits are the process's. */
#ifndef STATE_H
#define STATE_H

#include "interpreter.h"
#include "locks.h"

#include <stdatomic.h>
#include <stdbool.h>

/* What a script has set: a callable or NULL, and whether C tries again when that says so. */
struct handler {
    PyObject *callable;
    bool answers;
};

enum result_type {
    USABLE_BLOCK,
    ALLOCATOR_INFO,
    DECAY,
    MAPPING,
    MEMORY_LIMITS,
    DEFRAG,
    REPORT,
    PUBLISHED,
    RESULT_TYPES
};

struct state {
    _Atomic(PyInterpreterState *) interpreter; /* NULL: it has ended, and another may have its place */
    PyTypeObject *block_type;
    PyTypeObject *result_types[RESULT_TYPES];
    struct handler oom_handler;
    PyObject *pressure_handler; /* a callable, or NULL */
    short_lock oom_lock;
    short_lock pressure_lock;
    struct state *next; /* all but the main one's, which stay */
};

extern struct state main_state __attribute__((visibility("hidden")));

/* Whether the module was ever imported by another interpreter than the main one. */
extern atomic_bool has_others __attribute__((visibility("hidden")));

/* The state of this thread's interpreter. All zero if that is at its end: then there is nothing to make objects of.
 */
struct state *find_state(void);

static inline bool has_other_states(void)
{
    return atomic_load_explicit(&has_others, memory_order_relaxed);
}

static inline struct state *current_state(void)
{
    return !has_other_states() ? &main_state : find_state();
}

/* When the module is imported, for the first time or again; NULL with an error. */
struct state *begin_state(void);

/* In a forked child, whose interpreter this is: the short locks. Who had one is gone. None. */
PyObject *forget_locks(void);

#endif
