/* SPDX-License-Identifier: BSD-3-Clause */
/* In the place of src/zmalloc.h in Redis 7.0: the library's calls are the ones that it knows. */
#ifndef ZMALLOC_COMPAT_H
#define ZMALLOC_COMPAT_H

#define ZMALLOC_COMPAT_REDIS 7

/* With MALLOC=jemalloc: the server asks jemalloc too, and moves blocks. */
#ifdef USE_JEMALLOC
#include <jemalloc/jemalloc.h>
#ifndef ZMALLOC_JEMALLOC
#error "deps/jemalloc is the server's own; put zmalloc's in its place: pkg-config --variable=deps_jemalloc zmalloc"
#endif
#define HAVE_DEFRAG
#endif

#include <zmalloc/zmalloc.h>

#endif
