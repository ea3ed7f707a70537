/* SPDX-License-Identifier: BSD-3-Clause */
/* What the sources of a preload library have in common. */
#ifndef ZM_PRELOAD_H
#define ZM_PRELOAD_H

#include "zmalloc.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#define ZM_EXPORTED __attribute__((visibility("default")))
#define ZM_UNLIKELY(condition) __builtin_expect(condition, false)

/* POSIX wants errno as it was; an allocator may ask the kernel for what it refuses. Not by the name free, which the
 * program may define itself. */
static inline void zm_preload_free(void *block)
{
    int error = errno;
    zfree(block);
    errno = error;
}

#endif
