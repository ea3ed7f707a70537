/* SPDX-License-Identifier: BSD-3-Clause */
/* Structs that begin with their size, as callers of another version have them. */
#ifndef ZM_INSPECT_SIZED_H
#define ZM_INSPECT_SIZED_H

#include <stddef.h>
#include <string.h>

/* The struct's size up to the end of its last field: a later version may put a field where it has padding now. */
#define ZM_END_OF(type, last) (offsetof(type, last) + sizeof(((type *) NULL)->last))

/* Copies what the caller's struct has room for, and says in it how much that is. */
static inline void zm_sized_copy(void *to, const void *from, size_t size)
{
    size_t room;
    memcpy(&room, to, sizeof(room));
    size = size < room ? size : room;
    memcpy(to, from, size);
    memcpy(to, &size, sizeof(size));
}

#endif
