/* SPDX-License-Identifier: BSD-3-Clause */
/* mimalloc, the cold half. */
#include "allocator/allocator.h"

#include <errno.h>

const char *zm_allocator_name(void)
{
    return "mimalloc-" ZM_MIMALLOC_VERSION;
}

int zm_allocator_info(struct zm_allocator_info *info)
{
    /*
     * It counts blocks for each thread's heap, which only that thread may visit. What it says of the process is what
     * it has committed; from 3.0 on that does not fall when memory has gone back, so it is no answer.
     */
    if (ZM_MIMALLOC_MAJOR < 3) {
        mi_process_info(NULL, NULL, NULL, NULL, NULL, &info->resident, NULL, NULL);
    }
    return 0;
}

int zm_allocator_purge(void)
{
    mi_collect(true);
    return 0;
}
