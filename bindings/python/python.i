/* SPDX-License-Identifier: BSD-3-Clause */
/* Python: which argument and result of the C calls becomes what. The verbs are in the headers beside. */
%{
#include "convert.h"
#include "out_of_memory.h"
#include "block.h"
#include "results.h"
%}

%init %{
  if (add_block_type(m) != 0 || add_result_types(m) != 0) {
    return NULL;
  }
  zmalloc_set_oom_handler(out_of_memory);
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
  $action
  if (call_failed("$symname")) SWIG_fail;
%}
%typemap(out) void *call %{
  $result = moved_block(block1, $1, arg2);
%}
%enddef

/* Reads that may take long let other threads run. They touch no block. */
%define %zm_long_call(call)
%exception call %{
  Py_BEGIN_ALLOW_THREADS
  $action
  Py_END_ALLOW_THREADS
%}
%enddef

%zm_long_call(zmalloc_get_private_dirty)
%zm_long_call(zmalloc_private_dirty)
%zm_long_call(zmalloc_get_smap_bytes_by_field)
%zm_long_call(zmalloc_smap_bytes_by_field)
%zm_long_call(zmalloc_purge)
%zm_long_call(jemalloc_purge)

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

%typemap(in) int i {
  if (to_int($input, "$symname", "$1_name", &$1) != 0) SWIG_fail;
}

%typemap(in) int enable {
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

%typemap(in) void (*handler)(size_t size) {
  if (set_handler($input, "$symname", "$1_name") != 0) SWIG_fail;
  $1 = out_of_memory;
}

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
  Py_SETREF($result, allocator_figures(figures$argnum));
%}
