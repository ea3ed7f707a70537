/* SPDX-License-Identifier: BSD-3-Clause */
/* Every way to get a block, and every way to make it another size. */
#ifndef WAYS_H
#define WAYS_H

#include "zmalloc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* With more than that a block may have a longer prefix than others. */
enum { LEAST_ALIGNMENT = _Alignof(max_align_t) };

/* One way to get a block. What it says of the usable size is written to *usable. */
struct way {
    const char *name;
    void *(*get)(size_t size, size_t *usable);
    bool zeroed;        /* the first size bytes are zero */
    bool calls_handler; /* on failure */
    bool aligned;       /* zfree_with_size may be told its usable size alone */
};

#define WAY_WITHOUT_USABLE(call, arguments)                                                                          \
    static inline void *by_##call(size_t size, size_t *usable)                                                       \
    {                                                                                                                \
        void *ptr = call arguments;                                                                                  \
        *usable = zmalloc_usable_size(ptr);                                                                          \
        return ptr;                                                                                                  \
    }

#define REALLOC_WAY_WITH_USABLE(call)                                                                                \
    static inline void *by_##call(size_t size, size_t *usable)                                                       \
    {                                                                                                                \
        return call(NULL, size, usable);                                                                             \
    }

#define ALIGNED_WAY_WITH_USABLE(call)                                                                                \
    static inline void *by_##call(size_t size, size_t *usable)                                                       \
    {                                                                                                                \
        return call(LEAST_ALIGNMENT, size, usable);                                                                  \
    }

WAY_WITHOUT_USABLE(zmalloc, (size))
WAY_WITHOUT_USABLE(ztrymalloc, (size))
WAY_WITHOUT_USABLE(zmalloc_no_tcache, (size))
WAY_WITHOUT_USABLE(zcalloc, (size))
WAY_WITHOUT_USABLE(ztrycalloc, (size))
WAY_WITHOUT_USABLE(zcalloc_num, (size, 1))
WAY_WITHOUT_USABLE(zrealloc, (NULL, size))
WAY_WITHOUT_USABLE(ztryrealloc, (NULL, size))
WAY_WITHOUT_USABLE(zaligned_alloc, (LEAST_ALIGNMENT, size))
WAY_WITHOUT_USABLE(ztryaligned_alloc, (LEAST_ALIGNMENT, size))
REALLOC_WAY_WITH_USABLE(zrealloc_usable)
REALLOC_WAY_WITH_USABLE(ztryrealloc_usable)
ALIGNED_WAY_WITH_USABLE(zaligned_alloc_usable)
ALIGNED_WAY_WITH_USABLE(ztryaligned_alloc_usable)

static const struct way ways[] = {
    {"zmalloc", by_zmalloc, false, true, false},
    {"ztrymalloc", by_ztrymalloc, false, false, false},
    {"zmalloc_usable", zmalloc_usable, false, true, false},
    {"ztrymalloc_usable", ztrymalloc_usable, false, false, false},
    {"zmalloc_no_tcache", by_zmalloc_no_tcache, false, true, false},
    {"zcalloc", by_zcalloc, true, true, false},
    {"ztrycalloc", by_ztrycalloc, true, false, false},
    {"zcalloc_usable", zcalloc_usable, true, true, false},
    {"ztrycalloc_usable", ztrycalloc_usable, true, false, false},
    {"zcalloc_num", by_zcalloc_num, true, true, false},
    {"zrealloc", by_zrealloc, false, true, false},
    {"ztryrealloc", by_ztryrealloc, false, false, false},
    {"zrealloc_usable", by_zrealloc_usable, false, true, false},
    {"ztryrealloc_usable", by_ztryrealloc_usable, false, false, false},
    {"zaligned_alloc", by_zaligned_alloc, false, true, true},
    {"ztryaligned_alloc", by_ztryaligned_alloc, false, false, true},
    {"zaligned_alloc_usable", by_zaligned_alloc_usable, false, true, true},
    {"ztryaligned_alloc_usable", by_ztryaligned_alloc_usable, false, false, true},
};

/* A way to make a block another size. */
struct resize {
    const char *name;
    void *(*to)(void *ptr, size_t size, size_t *usable);
    bool calls_handler;
};

/* Without the usable size told by the call, what the block itself tells; nothing where there is none. */
static inline void *resize_zrealloc(void *ptr, size_t size, size_t *usable)
{
    void *moved = zrealloc(ptr, size);
    *usable = zmalloc_usable_size(moved);
    return moved;
}

static inline void *resize_ztryrealloc(void *ptr, size_t size, size_t *usable)
{
    void *moved = ztryrealloc(ptr, size);
    *usable = zmalloc_usable_size(moved);
    return moved;
}

static const struct resize resizes[] = {
    {"zrealloc", resize_zrealloc, true},
    {"ztryrealloc", resize_ztryrealloc, false},
    {"zrealloc_usable", zrealloc_usable, true},
    {"ztryrealloc_usable", ztryrealloc_usable, false},
};

#endif
