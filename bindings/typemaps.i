/* SPDX-License-Identifier: BSD-3-Clause */
/* How arguments and results of the C calls are converted, for both languages. Which declaration has which role is in
 * roles.py. A language defines, in its folder's .i:
 *
 *   TRY(function, ...)               calls what raises an error when it fails; the call then ends
 *   TAKE(to, role, input, call, name)  an argument, by to_ROLE
 *   RESULT(role, ...)                one result, by from_ROLE or push_ROLE; RESULTS(n, role, ...) n of them in Lua
 *   USABLE(bytes)                    the usable size, beside what the call returns
 *   NOTHING                          the result of a call that has none
 *   BEGIN_CALL, END_CALL(call)       around what may run out of memory: there a script's handler may run
 *   BEGIN_SOFT_LIMIT, END_SOFT_LIMIT(status, handler)  around the call that sets it; keeps the handler if that is 0
 *   AFTER_PRESSURE                   calls the soft limit's handler, when every result is made
 *   IS_NONE(script_value)            whether that is None or nil
 */

/*
 * Where a script's code can run in the middle of a call (handlers, finalisers, callbacks of the garbage collection,
 * and in Python other threads), and what holds there:
 *
 *   arguments     None runs: a number, a text, a block is one of the language's own types, or is refused.
 *   BEGIN_CALL .. END_CALL
 *                 The out-of-memory handler, and all that it does. A block that is resized is busy: nobody else can
 *                 free, move, view or pass it. The call's own notes (struct memory_request) are kept for it. The
 *                 handler's error is raised at END_CALL, when C has returned and the block is whole again, in the
 *                 coroutine or thread that asked.
 *   results       Finalisers, as making a value may collect garbage. Memory that has no block yet is known to this
 *                 call alone, and is freed if there is none; what C wrote are copies. A list or table that is being
 *                 filled is out of reach.
 *   AFTER_PRESSURE
 *                 The soft limit's handler. The call is done, and its results are whole.
 *   set_handler, END_SOFT_LIMIT
 *                 The finaliser of the old handler, when the new one is in its place, with all that belongs to it.
 */

/* Arguments. */

%define %zm_argument(role, declaration)
%typemap(in) declaration {
  TAKE(&$1, role, $input, "$symname", "$1_name");
}
%enddef

%define %zm_text_argument(role, declaration)
%typemap(in) declaration {
  TAKE((const char **) &$1, role, $input, "$symname", "$1_name");
}
%enddef

%typemap(in) void *ptr (struct block *block = NULL) {
  TAKE(&block, block_or_null, $input, "$symname", "$1_name");
  $1 = block != NULL ? block->memory : NULL;
}

/* A list of Blocks: it is the script's own that is gone through. */
%typemap(in) (void *const *blocks, size_t count) (script_value list),
             (void **blocks, size_t count) (script_value list) {
  TAKE(&list, blocks, $input, "$symname", "blocks");
  $1 = NULL;
  $2 = 0;
}

/* Its argument is no block of ours, and typemaps choose by an argument's name. */
#define zlibc_free(ptr) zlibc_free(void *libc_block)
%typemap(in) void *libc_block {
  TAKE(&$1, null, $input, "$symname", "ptr");
}

%typemap(in) void (*handler)(size_t size) {
  TRY(set_handler, $input, false, "$symname", "$1_name");
  $1 = NULL;
}

%typemap(in) (int (*handler)(size_t size, void *context), void *context) {
  TRY(set_handler, $input, true, "$symname", "handler");
  $1 = oom_retry_callback;
  $2 = NULL;
}

%typemap(in) (void (*handler)(size_t used, void *context), void *context) (script_value script) {
  script = $input;
  TRY(check_callable, script, "$symname", "handler");
  $1 = IS_NONE(script) ? NULL : soft_limit_callback;
  $2 = NULL;
}

/* Results. */

%define %zm_result(role, declaration, type)
%typemap(in, numinputs=0) declaration (type value) %{
  $1 = &value;
%}
%typemap(argout) declaration {
  RESULT(role, value$argnum);
}
%enddef

/* The struct begins with its size. */
%define %zm_struct_result(role, declaration, type)
%typemap(in, numinputs=0) declaration (type value) %{
  $1 = &value;
  $1->size = sizeof(*$1);
%}
%typemap(argout) declaration {
  RESULT(role, &value$argnum);
}
%enddef

%include "roles.i"

%typemap(in, numinputs=0) size_t *usable (size_t usable) %{
  $1 = &usable;
%}
%typemap(argout) size_t *usable %{
  USABLE(usable$argnum);
%}

%typemap(in, numinputs=0) long long *res (long long value) %{
  $1 = &value;
%}
%typemap(argout) long long *res %{
  RESULT(integer_or_none, result == 1 ? &value$argnum : NULL);
%}

%typemap(in, numinputs=0) (size_t *allocated, size_t *active, size_t *resident) (size_t figures[3]) %{
  $1 = &figures[0];
  $2 = &figures[1];
  $3 = &figures[2];
%}
%typemap(argout) (size_t *allocated, size_t *active, size_t *resident) %{
  RESULTS(3, allocator_info, figures$argnum);
%}

%typemap(in, numinputs=0) (long *dirty_ms, long *muzzy_ms) (long times[2]) %{
  $1 = &times[0];
  $2 = &times[1];
%}
%typemap(argout) (long *dirty_ms, long *muzzy_ms) %{
  RESULTS(2, decay, times$argnum);
%}

%typemap(in, numinputs=0) (struct zmalloc_field *fields, size_t *count)
                          (struct zmalloc_field fields[ZMALLOC_MOST_FIELDS], size_t count = ZMALLOC_MOST_FIELDS) %{
  $1 = fields;
  $2 = &count;
%}
%typemap(argout) (struct zmalloc_field *fields, size_t *count) %{
  RESULT(fields, fields$argnum, count$argnum);
%}

/* What a call returns. The names arg1, arg2 are SWIG's for the C arguments, block1 is a typemap's above. */

%typemap(out) size_t %{
  RESULT(size, $1);
%}

%typemap(out) void * %{
  RESULT(block, $1, arg1);
%}

%typemap(out) void *zcalloc_num %{
  RESULT(block, $1, arg1 * arg2);
%}

%typemap(out) void *zaligned_alloc, void *ztryaligned_alloc,
              void *zaligned_alloc_usable, void *ztryaligned_alloc_usable %{
  RESULT(aligned_block, $1, arg2);
%}

%typemap(out) char *zstrdup %{
  RESULT(block, $1, $1 != NULL ? strlen($1) + 1 : 0);
%}

%typemap(out) void *extend_to_usable %{
  (void) $1;
  RESULT(extended_block, block1, arg2);
%}

/* At the very end, when every result is made. */
%typemap(ret) void *, char *, int zmalloc_defrag %{
  AFTER_PRESSURE;
%}

/* A status is an error or nothing; what was written through pointers follows. */
%typemap(out) int %{
  TRY(check_status, $1, "$symname");
  NOTHING;
%}
%typemap(out) int zmalloc_smap_bytes_by_field %{
  TRY(check_field_status, $1, "$symname", arg1);
  NOTHING;
%}

%typemap(out) int zmalloc_published %{
  TRY(check_published_status, $1, "$symname", arg2);
  NOTHING;
%}

/* The calls of old, whose status is a result of its own kind. */
%typemap(out) int jemalloc_purge %{
  RESULT(integer, $1);
%}
%typemap(out) int get_proc_stat_ll, int zmalloc_get_allocator_info %{
  (void) $1;
  NOTHING;
%}

/* Around the calls. A handler's error is raised when the call comes back. */

%exception %{
  BEGIN_CALL;
  $action
  END_CALL("$symname");
%}

/* C's own handler is the one set when the module was loaded; the script's is behind it. */
%exception zmalloc_set_oom_handler %{
  (void) arg1;
%}

/* The calls that free the block they are given, and those that may move it. */

%define %zm_frees(call)
%exception call %{
  TRY(check_unviewed, block1);
  $action
  forget_memory(block1);
%}
%enddef

%define %zm_moves(call)
%exception call %{
  TRY(check_unviewed, block1);
  BEGIN_CALL;
  start_resize(block1);
  $action
  end_resize(block1);
  END_CALL("$symname");
%}
%typemap(out) void *call %{
  RESULT(moved_block, block1, $1, arg2);
%}
%enddef

%zm_frees(zfree)
%zm_frees(zfree_usable)
%zm_frees(zfree_no_tcache)
%zm_moves(zrealloc)
%zm_moves(ztryrealloc)
%zm_moves(zrealloc_usable)
%zm_moves(ztryrealloc_usable)

/* C is told the usable size, which is right for every block. */
%exception zfree_with_size %{
  TRY(check_known_size, block1, arg2, "$symname");
  TRY(check_unviewed, block1);
  arg2 = zmalloc_usable_size(arg1);
  $action
  forget_memory(block1);
%}

%exception extend_to_usable %{
  TRY(check_extent, block1, arg2, "$symname");
  $action
%}

%exception zmalloc_set_soft_limit %{
  BEGIN_SOFT_LIMIT;
  $action
  END_SOFT_LIMIT(result, script3);
%}

%exception zmalloc_defrag %{
  (void) arg1;
  (void) arg2;
  TRY(defrag_blocks, list1, arg3, arg4, arg5, &result);
%}
