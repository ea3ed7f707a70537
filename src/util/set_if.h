/* SPDX-License-Identifier: BSD-3-Clause */
/* Out-pointers that a caller may leave out. */
#ifndef ZM_SET_IF_H
#define ZM_SET_IF_H

#include <stddef.h>

static inline void zm_set_if(size_t *out, size_t value)
{
    if (out != NULL) {
        *out = value;
    }
}

#endif
