/* SPDX-License-Identifier: BSD-3-Clause */
/* What a platform tells of one mapping of a process. */
#ifndef ZM_MAPPING_H
#define ZM_MAPPING_H

#include "os/fields.h"

struct zm_mapping {
    uint64_t begin;
    uint64_t end;
    uint64_t offset;     /* in the file */
    char permissions[5]; /* "r-xp" */
    const char *path;    /* "" for memory without a file; valid during the visit */
    struct zm_fields fields;
};

/* Not 0: that's enough. */
typedef int zm_mapping_visitor(const struct zm_mapping *mapping, void *context);

/* A visitor that adds the mapping's fields to the sums, a struct zm_fields. */
static inline int zm_mapping_add_fields(const struct zm_mapping *mapping, void *sums)
{
    zm_fields_add_all(sums, &mapping->fields);
    return 0;
}

#endif
