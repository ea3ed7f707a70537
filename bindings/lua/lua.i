/* SPDX-License-Identifier: BSD-3-Clause */
/* Lua: what the shared typemaps leave to the language. The functions are in the headers beside. */
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
#include "defrag.h"

/* What fails raises Lua's errors, and does not return. */
#define TRY(function, ...) function(L, __VA_ARGS__)
#define TAKE(to, role, ...) *(to) = to_##role(L, __VA_ARGS__)
#define RESULTS(count, role, ...) (push_##role(L, __VA_ARGS__), SWIG_arg += (count))
#define RESULT(role, ...) RESULTS(1, role, __VA_ARGS__)
#define USABLE(bytes) RESULT(size, bytes)
#define NOTHING (void) 0
#define BEGIN_CALL begin_call(L)
#define END_CALL(call) end_call(L, call)
#define BEGIN_SOFT_LIMIT
#define END_SOFT_LIMIT(status, handler)                                                                              \
  if ((status) == 0) keep_pressure_handler(L, handler)
#define AFTER_PRESSURE after_pressure(L)
#define IS_NONE(index) lua_isnil(L, index)

/* Nothing has a view of a block. */
#define check_unviewed(L, block) (void) 0
#define push_boolean lua_pushboolean
typedef int script_value;
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
  start_handling(L);
  start_watching(L);

  /* zmalloc.lua, run next, requires the module. */
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "zmalloc");
  lua_pop(L, 1);
%}
%insert("luacode") "lua/zmalloc.lua"

%include "typemaps.i"

/* The records come on the stack when the arguments have been counted. */
%exception zmalloc_mappings %{
  arg3 = push_records(L);
  $action
%}
%typemap(in, numinputs=0) (int (*visit)(const struct zmalloc_mapping *mapping, void *context), void *context) %{
  $1 = keep_mapping;
%}
%typemap(argout) (int (*visit)(const struct zmalloc_mapping *mapping, void *context), void *context) %{
  RESULT(mappings, $2);
%}

/* The hints are on the stack already. */
%typemap(in, numinputs=0) int *hints %{
  $1 = NULL;
%}
%typemap(argout) int *hints %{
  SWIG_arg++;
%}
%exception zmalloc_defrag_hints %{
  (void) arg1;
  (void) arg2;
  (void) arg3;
  TRY(hint_blocks, list1, &result);
%}
