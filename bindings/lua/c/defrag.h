/* SPDX-License-Identifier: BSD-3-Clause */
/* Fragmentation: tables of Blocks in place of C's arrays of pointers. */
#ifndef DEFRAG_H
#define DEFRAG_H

#include "compat.h"
#include "zmalloc.h"

#include <stddef.h>

/* A table, whatever it holds. */
int to_blocks(lua_State *L, int index, const char *call, const char *argument);

/*
 * In place of C's calls. A Block that is closed or being resized stays where it is, and is not asked about. What is
 * no Block is an error when it comes to it, after those before it. Hints are left on the stack, as a table.
 */
void defrag_blocks(lua_State *L, int blocks, size_t start, size_t max_us, struct zmalloc_defrag *done, int *status);
void hint_blocks(lua_State *L, int blocks, int *status);

#endif
