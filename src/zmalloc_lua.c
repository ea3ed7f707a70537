/* SPDX-License-Identifier: BSD-3-Clause */
/* The allocation function of a Lua state: Lua's one call, in terms of the z* calls. */
#include "zmalloc_lua.h"

/* The look-up of a size is only for who wants the figure. */
static size_t counted_size(const size_t *used, void *ptr)
{
    return used != NULL ? zmalloc_size(ptr) : 0;
}

static void count(size_t *used, size_t before, size_t now)
{
    if (used != NULL) {
        *used += now - before;
    }
}

void *zmalloc_lua_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
    size_t before = counted_size(ud, ptr);
    if (nsize == 0) {
        /* Its size is not known from osize: it may be a block that was not made smaller. */
        zfree(ptr);
        count(ud, before, 0);
        return NULL;
    }

    void *block = ztryrealloc(ptr, nsize);
    if (block == NULL) {
        /* Without a block, osize is the type of what is to be in it. */
        return ptr != NULL && nsize <= osize ? ptr : NULL;
    }
    count(ud, before, counted_size(ud, block));
    return block;
}
