/* SPDX-License-Identifier: BSD-3-Clause */
/* zmalloc for scripts. What there is to call, the public header says; how it looks in a language, its folder. */
%module zmalloc

%{
#include "zmalloc.h"
%}

#if defined(SWIGPYTHON)
%include "python/python.i"
#elif defined(SWIGLUA)
%include "lua/lua.i"
#endif

/* Structs are a language's own; some have the name of a call. */
%rename("$ignore", %$isclass) "";
%ignore zmalloc_mapping::end;

/* What a language says in their place, its folder has. */
%ignore ZMALLOC_UNKNOWN;
%ignore ZMALLOC_UNKNOWN_DIFFERENCE;
%ignore ZMALLOC_NO_LIMIT;

/* SWIG reads no system headers. */
%ignore SIZE_MAX;
#define SIZE_MAX (~0UL)

%include "zmalloc.h"
