/* SPDX-License-Identifier: BSD-3-Clause */
/* Lua: which argument and result of the C calls becomes what. The verbs are in the headers beside. */
/* zmalloc.lua may find no memory to be run in: then nothing is loaded. SWIG would print that and go on. */
%begin %{
#define SWIG_DOSTRING_FAIL(message)                                                                                  \
  (lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED"), lua_pushnil(L), lua_setfield(L, -2, "zmalloc"), lua_pop(L, 1),     \
   lua_error(L))
%}

%{
#include "compat.h"
#include "convert.h"
#include "out_of_memory.h"
#include "pressure.h"
#include "block.h"
#include "results.h"
%}

/* What SWIG leaves on the stack is the module. Its calls are plain fields: no metatable, no globals. */
%init %{
  lua_pushnil(L);
  lua_setmetatable(L, -2);
  lua_pushnil(L);
  lua_setglobal(L, "swig_type");
  lua_pushnil(L);
  lua_setglobal(L, "swig_equals");
  add_block_type(L);
  add_no_limit(L);
  add_size_bits(L);
  add_records_type(L);
  if (zmalloc_set_oom_retry_handler(ask_script, NULL) != 0) {
    luaL_error(L, "zmalloc: no memory to load it");
  }

  /* zmalloc.lua, run next, requires the module. */
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "zmalloc");
  lua_pop(L, 1);
%}
%insert("luacode") "lua/zmalloc.lua"

%exception %{
  begin_call(L);
  $action
  end_call(L, "$symname");
%}

/* The records come on the stack when the arguments have been counted. */
%exception zmalloc_mappings %{
  arg3 = push_records(L);
  $action
%}

%define %zm_frees(call)
%exception call %{
  $action
  forget_memory(block1);
%}
%enddef

%define %zm_moves(call)
%exception call %{
  begin_call(L);
  struct block hidden = hide_block(L, block1);
  $action
  show_block(block1, &hidden);
  end_call(L, "$symname");
%}
%typemap(out) void *call %{
  push_moved_block(L, block1, $1, arg2);
  SWIG_arg++;
%}
%enddef

/* Arguments. The verbs raise Lua's errors. */

%typemap(in) size_t size, size_t num %{
  $1 = to_size(L, $input, "$symname", "$1_name");
%}

%typemap(in) size_t alignment %{
  $1 = to_alignment(L, $input, "$symname", "$1_name");
%}

%typemap(in) long pid %{
  $1 = lua_isnoneornil(L, $input) ? -1 : (long) to_integer(L, $input, LONG_MIN, LONG_MAX, "$symname", "$1_name");
%}

%typemap(in) long dirty_ms, long muzzy_ms %{
  $1 = (long) to_integer(L, $input, LONG_MIN, LONG_MAX, "$symname", "$1_name");
%}

%typemap(in) int i %{
  $1 = (int) to_integer(L, $input, INT_MIN, INT_MAX, "$symname", "$1_name");
%}

%typemap(in) int walk %{
  $1 = lua_isnil(L, $input) ? 0 : to_switch(L, $input, "$symname", "$1_name");
%}

%typemap(in) int enable, int disable %{
  $1 = to_switch(L, $input, "$symname", "$1_name");
%}

%typemap(in) char *field, const char *field %{
  $1 = (char *) to_field(L, $input, "$symname", "$1_name");
%}

%typemap(in) const char *string %{
  $1 = (char *) to_string_or_null(L, $input, "$symname", "$1_name");
%}

%typemap(in) void *ptr (struct block *block = NULL) %{
  block = to_block_or_null(L, $input, "$symname", "$1_name");
  $1 = block != NULL ? block->memory : NULL;
%}

%typemap(in) void *libc_block %{
  to_null(L, $input, "$symname", "ptr");
  $1 = NULL;
%}

%typemap(in) size_t bytes, size_t hysteresis %{
  $1 = to_size(L, $input, "$symname", "$1_name");
%}

/* zmalloc's handler is the one set when the module was loaded, for all Lua states; each has its own behind it. */
%typemap(in) void (*handler)(size_t size) %{
  set_handler(L, $input, false, "$symname", "$1_name");
  $1 = NULL;
%}
%exception zmalloc_set_oom_handler %{
  (void) arg1;
%}
%typemap(in) (int (*handler)(size_t size, void *context), void *context) %{
  set_handler(L, $input, true, "$symname", "handler");
  $1 = ask_script;
  $2 = NULL;
%}

%typemap(in) (void (*handler)(size_t used, void *context), void *context) %{
  check_function(L, $input, "$symname", "handler");
  $1 = lua_isnil(L, $input) ? NULL : note_pressure;
  $2 = NULL;
%}
%exception zmalloc_set_soft_limit %{
  $action
  if (result == 0) {
    keep_pressure_handler(L, 3);
  }
%}

/* Results. The names arg1, arg2 are SWIG's for the C arguments. */

%typemap(out) size_t %{
  push_size(L, $1);
  SWIG_arg++;
%}

%typemap(out) void * %{
  push_new_block(L, $1, arg1);
  SWIG_arg++;
%}

%typemap(out) void *zcalloc_num %{
  push_new_block(L, $1, arg1 * arg2);
  SWIG_arg++;
%}

%typemap(out) void *zaligned_alloc, void *ztryaligned_alloc,
              void *zaligned_alloc_usable, void *ztryaligned_alloc_usable %{
  push_new_aligned_block(L, $1, arg2);
  SWIG_arg++;
%}

/* At the very end, when all results are on the stack. */
%typemap(ret) void *, char * %{
  after_pressure(L);
%}

%typemap(out) char *zstrdup %{
  push_new_block(L, $1, $1 != NULL ? strlen($1) + 1 : 0);
  SWIG_arg++;
%}

/* C is told the usable size, which is right for every block. */
%exception zfree_with_size %{
  check_known_size(L, block1, arg2, "$symname");
  arg2 = zmalloc_usable_size(arg1);
  $action
  forget_memory(block1);
%}

%exception extend_to_usable %{
  check_extent(L, block1, arg2, "$symname");
  $action
%}
%typemap(out) void *extend_to_usable %{
  (void) $1;
  push_extended_block(L, block1, arg2);
  SWIG_arg++;
%}

/* A status is an error or nothing; what was written through pointers follows. */
%typemap(out) int %{
  check_status(L, $1, "$symname");
%}
%typemap(out) int zmalloc_smap_bytes_by_field %{
  check_field_status(L, $1, "$symname", arg1);
%}

/* The calls of old, whose status is a result of its own kind. */
%typemap(out) int jemalloc_purge %{
  lua_pushinteger(L, $1);
  SWIG_arg++;
%}
%typemap(out) int get_proc_stat_ll, int zmalloc_get_allocator_info "(void) $1;"

%typemap(in, numinputs=0) size_t *bytes (size_t bytes), size_t *usable (size_t bytes),
                          long long *res (long long bytes) %{
  $1 = &bytes;
%}
%typemap(argout) size_t *bytes, size_t *usable %{
  push_size(L, bytes$argnum);
  SWIG_arg++;
%}
%typemap(argout) long long *res %{
  if (result == 1) {
    push_integer(L, bytes$argnum);
  } else {
    lua_pushnil(L);
  }
  SWIG_arg++;
%}

%typemap(in, numinputs=0) (size_t *allocated, size_t *active, size_t *resident) (size_t figures[3]) %{
  $1 = &figures[0];
  $2 = &figures[1];
  $3 = &figures[2];
%}
%typemap(argout) (size_t *allocated, size_t *active, size_t *resident) %{
  for (int i = 0; i < 3; i++) {
    push_known_size(L, figures$argnum[i]);
    SWIG_arg++;
  }
%}

%typemap(in, numinputs=0) size_t *returned (size_t bytes) %{
  $1 = &bytes;
%}
%typemap(argout) size_t *returned %{
  push_known_size(L, bytes$argnum);
  SWIG_arg++;
%}

%typemap(in, numinputs=0) int *mode (int number), int *enabled (int number) %{
  $1 = &number;
%}
%typemap(argout) int *mode %{
  lua_pushinteger(L, number$argnum);
  SWIG_arg++;
%}
%typemap(argout) int *enabled %{
  lua_pushboolean(L, number$argnum);
  SWIG_arg++;
%}

%typemap(in, numinputs=0) long *dirty_ms (long time), long *muzzy_ms (long time) %{
  $1 = &time;
%}
%typemap(argout) long *dirty_ms, long *muzzy_ms %{
  push_integer(L, time$argnum);
  SWIG_arg++;
%}

%typemap(in, numinputs=0) struct zmalloc_memory_limits *limits (struct zmalloc_memory_limits limits) %{
  $1 = &limits;
  $1->size = sizeof(*$1);
%}
%typemap(argout) struct zmalloc_memory_limits *limits %{
  push_memory_limits(L, &limits$argnum);
  SWIG_arg++;
%}

%typemap(in, numinputs=0) struct zmalloc_report *report (struct zmalloc_report report) %{
  $1 = &report;
  $1->size = sizeof(*$1);
%}
%typemap(argout) struct zmalloc_report *report %{
  push_report(L, &report$argnum);
  SWIG_arg++;
%}

%typemap(in, numinputs=0) (struct zmalloc_field *fields, size_t *count)
                          (struct zmalloc_field fields[ZMALLOC_MOST_FIELDS], size_t count = ZMALLOC_MOST_FIELDS) %{
  $1 = fields;
  $2 = &count;
%}
%typemap(argout) (struct zmalloc_field *fields, size_t *count) %{
  push_fields(L, fields$argnum, count$argnum);
  SWIG_arg++;
%}

%typemap(in, numinputs=0) (int (*visit)(const struct zmalloc_mapping *mapping, void *context), void *context) %{
  $1 = keep_mapping;
%}
%typemap(argout) (int (*visit)(const struct zmalloc_mapping *mapping, void *context), void *context) %{
  push_mappings(L, $2);
  SWIG_arg++;
%}
