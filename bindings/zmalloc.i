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

/* This process. */
%typemap(default) long pid {
    $1 = -1;
}

/* Without the walk. */
%typemap(default) int walk {
    $1 = 0;
}

/* The calls that free the block they are given, and those that may move it. */
%zm_frees(zfree)
%zm_frees(zfree_usable)
%zm_frees(zfree_no_tcache)
%zm_moves(zrealloc)
%zm_moves(ztryrealloc)
%zm_moves(zrealloc_usable)
%zm_moves(ztryrealloc_usable)

/* Its argument is no block of ours, and typemaps choose by an argument's name. */
#define zlibc_free(ptr) zlibc_free(void *libc_block)

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
