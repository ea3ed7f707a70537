/* SPDX-License-Identifier: BSD-3-Clause */
/* Python: what the shared typemaps leave to the language. The functions are in the headers beside. */

%begin %{
#define PY_SSIZE_T_CLEAN
#include <Python.h>
%}

%{
#include "interpreter.h"
#include "convert.h"
#include "out_of_memory.h"
#include "pressure.h"
#include "block.h"
#include "results.h"
#include "mappings.h"
#include "figures.h"
#include "defrag.h"
#include "sampling.h"
#include "state.h"

#define TRY(function, ...)                                                                                           \
  if (function(__VA_ARGS__) != 0) SWIG_fail
#define TAKE(to, role, ...) TRY(to_##role, __VA_ARGS__, to)
#define RESULT(role, ...) Py_XSETREF(resultobj, from_##role(__VA_ARGS__))
#define RESULTS(count, role, ...) RESULT(role, __VA_ARGS__)
#define USABLE(bytes) resultobj = with_usable(resultobj, bytes)
#define NOTHING Py_XSETREF(resultobj, Py_NewRef(Py_None))
#define BEGIN_CALL
#define END_CALL(call) TRY(call_failed, call)
#define BEGIN_SOFT_LIMIT start_pressure_change()
#define END_SOFT_LIMIT(status, handler) end_pressure_change(status, handler)
#define AFTER_PRESSURE resultobj = after_pressure(resultobj)
#define IS_NONE(value) ((value) == Py_None)

#define to_walk to_switch
#define from_size PyLong_FromSize_t
#define from_integer PyLong_FromLong
#define from_boolean PyBool_FromLong
typedef PyObject *script_value;
%}

/* For add_constants, as SWIG's own beginning is never run. */
%typemap(consttab) int %{{0, "$symname", $value, 0, NULL, NULL}%}
%typemap(consttab) char * %{{0, "$symname", 0, 0, $value, NULL}%}
%typemap(constcode) int, char * ""

%include "typemaps.i"

/* A block's memory is the call's as long as it lasts. */
%typemap(in) void *ptr (struct block *block = NULL, struct hold hold = {0}) {
  hold_if_block(&hold, $input);
  TAKE(&block, block_or_null, $input, "$symname", "$1_name");
  $1 = block != NULL ? block->memory : NULL;
}
%typemap(freearg) void *ptr {
  end_hold(&hold$argnum);
}

/* Calls that may take long let other threads run: glibc looks at all its free blocks for its figures. They touch no
 * block. */
%define %zm_long_call(call)
%exception call %{
  Py_BEGIN_ALLOW_THREADS
  $action
  Py_END_ALLOW_THREADS
%}
%enddef

%zm_long_call(zmalloc_process_rss)
%zm_long_call(zmalloc_smaps)
%zm_long_call(zmalloc_mappings)
%zm_long_call(zmalloc_get_private_dirty)
%zm_long_call(zmalloc_private_dirty)
%zm_long_call(zmalloc_get_smap_bytes_by_field)
%zm_long_call(zmalloc_smap_bytes_by_field)
%zm_long_call(zmalloc_purge)
%zm_long_call(jemalloc_purge)
%zm_long_call(zmalloc_report)
%zm_long_call(zmalloc_publish)
%zm_long_call(zmalloc_published)
%zm_long_call(zmalloc_allocator_info)
%zm_long_call(zmalloc_get_allocator_info)

/* Its result is the usable size alone. */
%typemap(out) void zfree_usable %{
  $result = NULL;
%}

%typemap(in, numinputs=0) (int (*visit)(const struct zmalloc_mapping *mapping, void *context), void *context)
                          (struct records records = {0}) %{
  $1 = keep_mapping;
  $2 = &records;
%}
%typemap(argout) (int (*visit)(const struct zmalloc_mapping *mapping, void *context), void *context) %{
  RESULT(records, &records$argnum);
%}
%typemap(freearg) (int (*visit)(const struct zmalloc_mapping *mapping, void *context), void *context) %{
  forget_records(&records$argnum);
%}

%typemap(in, numinputs=0) int *hints (PyObject *list = NULL) %{
  $1 = NULL;
%}
%typemap(argout) int *hints %{
  Py_XSETREF(resultobj, list$argnum);
%}
%exception zmalloc_defrag_hints %{
  (void) arg1;
  (void) arg2;
  (void) arg3;
  TRY(hint_blocks, list1, &list3, &result);
%}

/* For a forked child. */
%rename(_forget_locks) forget_locks;
PyObject *forget_locks(void);

/* For monitors alone. */
%rename(_take_own) take_own;
%rename(_take_packed) take_packed;
PyObject *take_own(int walk, PyObject *records);
PyObject *take_packed(PyObject *packed, PyObject *records);
%rename(_copy_records) copy_records;
%rename(_copy_count) copy_count;
PyObject *copy_records(PyObject *records);
PyObject *copy_count(PyObject *records);
%rename(_copy_in_child) copy_in_child;
PyObject *copy_in_child(PyObject *records);
%rename(_make_alarm) make_alarm;
%rename(_ring_alarm) ring_alarm;
%rename(_sample_on_time) sample_on_time;
PyObject *make_alarm(void);
PyObject *ring_alarm(PyObject *alarm);
PyObject *sample_on_time(PyObject *alarm, PyObject *source, PyObject *again);
