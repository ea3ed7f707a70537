/* SPDX-License-Identifier: BSD-3-Clause */
/* A plugin with the static library inside, for a host that knows nothing of it. */
#include <zmalloc.h>

size_t plugin_use(void)
{
    zfree(zmalloc(1000));
    return zmalloc_used_memory();
}
