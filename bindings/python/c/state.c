/* SPDX-License-Identifier: BSD-3-Clause */
/* See state.h. */
#include "state.h"

/* In the interpreter's own dict: a capsule, which dies with it. */
static const char state_name[] = "zmalloc.state";

struct state main_state;
atomic_bool has_others;

static struct state no_state;
static _Atomic(struct state *) other_states;

struct state *find_state(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    if (interpreter == PyInterpreterState_Main()) {
        return &main_state;
    }
    struct state *state = atomic_load(&other_states);
    while (state != NULL && atomic_load(&state->interpreter) != interpreter) {
        state = state->next;
    }
    return state != NULL ? state : &no_state;
}

/* A place that is free, or a new one. Interpreters without a common lock may ask at the same time. */
static struct state *take_state(PyInterpreterState *interpreter)
{
    struct state *state = atomic_load(&other_states);
    for (; state != NULL; state = state->next) {
        PyInterpreterState *none = NULL;
        if (atomic_compare_exchange_strong(&state->interpreter, &none, interpreter)) {
            return state;
        }
    }
    state = PyMem_RawCalloc(1, sizeof(*state));
    if (state == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    atomic_init(&state->interpreter, interpreter);
    state->next = atomic_load(&other_states);
    while (!atomic_compare_exchange_weak(&other_states, &state->next, state)) {
    }
    return state;
}

static void end_state(PyObject *capsule)
{
    struct state *state = PyCapsule_GetPointer(capsule, state_name);
    Py_CLEAR(state->oom_handler.callable);
    Py_CLEAR(state->pressure_handler);
    Py_CLEAR(state->block_type);
    for (int i = 0; i < RESULT_TYPES; i++) {
        Py_CLEAR(state->result_types[i]);
    }
    atomic_store(&state->interpreter, NULL);
}

static struct state *keep_state(PyObject *dict, PyInterpreterState *interpreter)
{
    struct state *state = take_state(interpreter);
    if (state == NULL) {
        return NULL;
    }
    atomic_store(&has_others, true);
    PyObject *capsule = PyCapsule_New(state, state_name, end_state);
    if (capsule == NULL) {
        atomic_store(&state->interpreter, NULL);
        return NULL;
    }
    int status = PyDict_SetItemString(dict, state_name, capsule);
    Py_DECREF(capsule);
    return status == 0 ? state : NULL;
}

struct state *begin_state(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    if (interpreter == PyInterpreterState_Main()) {
        return &main_state;
    }
    PyObject *dict = PyInterpreterState_GetDict(interpreter);
    if (dict == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    PyObject *capsule = PyDict_GetItemString(dict, state_name);
    return capsule != NULL ? PyCapsule_GetPointer(capsule, state_name) : keep_state(dict, interpreter);
}

PyObject *forget_locks(void)
{
    struct state *state = current_state();
    forget_lock(&state->oom_lock);
    forget_lock(&state->pressure_lock);
    return Py_NewRef(Py_None);
}
