/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks that move to undo fragmentation: for which of them that helps. */
#include "heap/block.h"
#include "zmalloc.h"

#include <errno.h>

int zmalloc_defrag_hint(void *ptr, int *helps)
{
    if (helps == NULL) {
        return -EINVAL;
    }
    zm_heap_expect(ptr, __func__);
    struct zm_defrag_hint hint = {0};
    int error = ptr != NULL ? zm_heap_defrag_hint(zm_block_of(ptr), &hint) : zm_allocator_prepare_defrag();
    *helps = hint.helps;
    return error;
}
