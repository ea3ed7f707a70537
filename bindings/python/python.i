/* SPDX-License-Identifier: BSD-3-Clause */
/* Python: which argument and result of the C calls becomes what. The verbs are in the headers beside. */
%{
#include "interpreter.h"
#include "convert.h"
#include "out_of_memory.h"
#include "pressure.h"
#include "block.h"
#include "results.h"
#include "mappings.h"
#include "figures.h"
%}

/* From SWIG 4.4 on, this is a part of a function that fills the module in; before, of one that makes it. */
%init %{
  if (refuse_subinterpreter(m) != 0 || add_block_type(m) != 0 || add_results(m) != 0) {
#if SWIG_VERSION >= 0x040400
    return -1;
#else
    return NULL;
#endif
  }
  zmalloc_set_oom_handler(tell_script);
%}

/* Whether a call failed. A handler's exception is pending when the call comes back. */
%exception %{
  $action
  if (call_failed("$symname")) SWIG_fail;
%}

%define %zm_frees(call)
%exception call %{
  if (block_is_viewed(block1)) SWIG_fail;
  $action
  forget_memory(block1);
%}
%enddef

%define %zm_moves(call)
%exception call %{
  if (block_is_viewed(block1)) SWIG_fail;
  bool held = hold_block(block1);
  $action
  if (held) let_go_of_block(block1);
  if (call_failed("$symname")) SWIG_fail;
%}
%typemap(out) void *call %{
  $result = moved_block(block1, $1, arg2);
%}
%enddef

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
%zm_long_call(zmalloc_allocator_info)
%zm_long_call(zmalloc_get_allocator_info)

/* Arguments. */

%typemap(in) size_t size, size_t num {
  if (to_size($input, "$symname", "$1_name", &$1) != 0) SWIG_fail;
}

%typemap(in) size_t alignment {
  if (to_alignment($input, "$symname", "$1_name", &$1) != 0) SWIG_fail;
}

%typemap(in) long pid {
  if (to_pid($input, "$symname", "$1_name", &$1) != 0) SWIG_fail;
}

%typemap(in) long dirty_ms, long muzzy_ms {
  if (to_long($input, "$symname", "$1_name", &$1) != 0) SWIG_fail;
}

%typemap(in) int i {
  if (to_int($input, "$symname", "$1_name", &$1) != 0) SWIG_fail;
}

%typemap(in) int enable, int disable, int walk {
  if (to_switch($input, "$symname", "$1_name", &$1) != 0) SWIG_fail;
}

%typemap(in) char *field, const char *field {
  if (to_field($input, "$symname", "$1_name", (const char **) &$1) != 0) SWIG_fail;
}

%typemap(in) const char *string {
  if (to_string_or_null($input, "$symname", "$1_name", (const char **) &$1) != 0) SWIG_fail;
}

%typemap(in) void *ptr (struct block *block = NULL) {
  if (to_block_or_null($input, "$symname", "$1_name", &block) != 0) SWIG_fail;
  $1 = block != NULL ? block->memory : NULL;
}

%typemap(in) void *libc_block {
  if (to_null($input, "$symname", "ptr") != 0) SWIG_fail;
  $1 = NULL;
}

%typemap(in) size_t bytes, size_t hysteresis {
  if (to_size($input, "$symname", "$1_name", &$1) != 0) SWIG_fail;
}

%typemap(in) void (*handler)(size_t size) {
  if (set_handler($input, false, "$symname", "$1_name") != 0) SWIG_fail;
  $1 = tell_script;
}

%typemap(in) (int (*handler)(size_t size, void *context), void *context) {
  if (set_handler($input, true, "$symname", "handler") != 0) SWIG_fail;
  $1 = ask_script;
  $2 = NULL;
}

%typemap(in) (void (*handler)(size_t used, void *context), void *context) (PyObject *script) {
  script = $input;
  if (check_callable(script, "$symname", "handler") != 0) SWIG_fail;
  $1 = script != Py_None ? note_pressure : NULL;
  $2 = NULL;
}

%exception zmalloc_set_soft_limit %{
  $action
  if (result == 0) {
    keep_pressure_handler(arg1 != 0 ? script3 : Py_None);
  }
%}

/* Results. The names arg1, arg2 are SWIG's for the C arguments. */

%typemap(out) size_t %{
  $result = PyLong_FromSize_t($1);
%}

%typemap(out) void * %{
  $result = new_block($1, arg1);
%}

%typemap(out) void *zcalloc_num %{
  $result = new_block($1, arg1 * arg2);
%}

%typemap(out) void *zaligned_alloc, void *ztryaligned_alloc,
              void *zaligned_alloc_usable, void *ztryaligned_alloc_usable %{
  $result = new_aligned_block($1, arg2);
%}

/* At the very end, when every result is made. */
%typemap(ret) void *, char * %{
  $result = after_pressure($result);
%}

%typemap(out) char *zstrdup %{
  $result = new_block($1, $1 != NULL ? strlen($1) + 1 : 0);
%}

/* C is told the usable size, which is right for every block. */
%exception zfree_with_size %{
  if (check_known_size(block1, arg2, "$symname") != 0 || block_is_viewed(block1)) SWIG_fail;
  arg2 = zmalloc_usable_size(arg1);
  $action
  forget_memory(block1);
%}

%exception extend_to_usable %{
  if (check_extent(block1, arg2, "$symname") != 0) SWIG_fail;
  $action
%}
%typemap(out) void *extend_to_usable %{
  (void) $1;
  $result = extended_block(block1, arg2);
%}

/* A status is an exception or nothing; what was written through pointers follows. */
%typemap(out) int %{
  if ($1 < 0) {
    raise_status("$symname", $1);
    SWIG_fail;
  }
  $result = Py_NewRef(Py_None);
%}
%typemap(out) int zmalloc_smap_bytes_by_field %{
  if ($1 < 0) {
    raise_field_status("$symname", $1, arg1);
    SWIG_fail;
  }
  $result = Py_NewRef(Py_None);
%}

/* The calls of old, whose status is a result of its own kind. */
%typemap(out) int jemalloc_purge %{
  $result = PyLong_FromLong($1);
%}
%typemap(out) int get_proc_stat_ll, int zmalloc_get_allocator_info %{
  (void) $1;
  $result = Py_NewRef(Py_None);
%}

%typemap(in, numinputs=0) size_t *bytes (size_t bytes), long long *res (long long bytes) %{
  $1 = &bytes;
%}
%typemap(argout) size_t *bytes %{
  Py_SETREF($result, PyLong_FromSize_t(bytes$argnum));
%}
%typemap(argout) long long *res %{
  if (result == 1) {
    Py_SETREF($result, PyLong_FromLongLong(bytes$argnum));
  }
%}

%typemap(in, numinputs=0) size_t *usable (size_t usable) %{
  $1 = &usable;
%}
%typemap(argout) size_t *usable %{
  $result = with_usable($result, usable$argnum);
%}
%typemap(out) void zfree_usable %{
  $result = NULL;
%}

%typemap(in, numinputs=0) (size_t *allocated, size_t *active, size_t *resident) (size_t figures[3]) %{
  $1 = &figures[0];
  $2 = &figures[1];
  $3 = &figures[2];
%}
%typemap(argout) (size_t *allocated, size_t *active, size_t *resident) %{
  Py_SETREF($result, from_allocator_info(figures$argnum));
%}

%typemap(in, numinputs=0) size_t *returned (size_t bytes) %{
  $1 = &bytes;
%}
%typemap(argout) size_t *returned %{
  Py_SETREF($result, from_size(bytes$argnum));
%}

%typemap(in, numinputs=0) int *mode (int mode), int *enabled (int enabled) %{
  $1 = &$1_name;
%}
%typemap(argout) int *mode %{
  Py_SETREF($result, PyLong_FromLong(mode$argnum));
%}
%typemap(argout) int *enabled %{
  Py_SETREF($result, PyBool_FromLong(enabled$argnum));
%}

%typemap(in, numinputs=0) (long *dirty_ms, long *muzzy_ms) (long times[2]) %{
  $1 = &times[0];
  $2 = &times[1];
%}
%typemap(argout) (long *dirty_ms, long *muzzy_ms) %{
  Py_SETREF($result, from_decay(times$argnum));
%}

%typemap(in, numinputs=0) struct zmalloc_memory_limits *limits (struct zmalloc_memory_limits limits) %{
  $1 = &limits;
  $1->size = sizeof(*$1);
%}
%typemap(argout) struct zmalloc_memory_limits *limits %{
  Py_SETREF($result, from_memory_limits(&limits$argnum));
%}

%typemap(in, numinputs=0) struct zmalloc_report *report (struct zmalloc_report report) %{
  $1 = &report;
  $1->size = sizeof(*$1);
%}
%typemap(argout) struct zmalloc_report *report %{
  Py_SETREF($result, from_report(&report$argnum));
%}

%typemap(in, numinputs=0) (struct zmalloc_field *fields, size_t *count)
                          (struct zmalloc_field fields[ZMALLOC_MOST_FIELDS], size_t count = ZMALLOC_MOST_FIELDS) %{
  $1 = fields;
  $2 = &count;
%}
%typemap(argout) (struct zmalloc_field *fields, size_t *count) %{
  Py_SETREF($result, from_fields(fields$argnum, count$argnum));
%}

%typemap(in, numinputs=0) (int (*visit)(const struct zmalloc_mapping *mapping, void *context), void *context)
                          (struct records records = {0}) %{
  $1 = keep_mapping;
  $2 = &records;
%}
%typemap(argout) (int (*visit)(const struct zmalloc_mapping *mapping, void *context), void *context) %{
  Py_SETREF($result, from_records(&records$argnum));
%}
%typemap(freearg) (int (*visit)(const struct zmalloc_mapping *mapping, void *context), void *context) %{
  forget_records(&records$argnum);
%}

/* For monitors alone. */
%rename(_take_own) take_own;
%rename(_take_packed) take_packed;
PyObject *take_own(int walk, PyObject *records);
PyObject *take_packed(PyObject *packed, PyObject *records);
