/* SPDX-License-Identifier: BSD-3-Clause */
/* Which blocks there are, in a hardened build: in use, or freed and in quarantine. */
#ifndef ZM_REGISTRY_H
#define ZM_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

enum zm_state { ZM_IN_USE, ZM_FREED, ZM_MOVED };

struct zm_entry {
    char *ptr;
    size_t size;
    size_t offset; /* from the allocator's block to this one */
    enum zm_state state;
};

/* False: no memory. */
bool zm_registry_add(const struct zm_entry *entry);

/* These copy what they find; false: no such block. Nobody's memory but the registry's own is looked at. */
bool zm_registry_find(const void *ptr, struct zm_entry *entry);
bool zm_registry_find_around(const void *ptr, struct zm_entry *entry); /* looks at all blocks */

/* Makes a block that is in use one that is not: of two threads that try, one is told so. Copies what it was before.
 */
bool zm_registry_retire(const void *ptr, enum zm_state state, struct zm_entry *entry);

void zm_registry_remove(const void *ptr);

#endif
