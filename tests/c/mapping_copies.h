/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies of what zmalloc_mappings visits. */
#ifndef MAPPING_COPIES_H
#define MAPPING_COPIES_H

#include "children.h"

enum { MOST_MAPPINGS = 400, LONGEST_PATH = 1024 };

/* Both readings, ours and the plain one, end up as this. */
struct figures {
    size_t count;
    struct zmalloc_field all[ZMALLOC_MOST_FIELDS];
};

struct mapping {
    uint64_t begin;
    uint64_t end;
    uint64_t offset;
    char permissions[8];
    char path[LONGEST_PATH];
    struct figures fields;
};

struct process {
    size_t count;
    struct mapping mappings[MOST_MAPPINGS];
};

static inline int collect(const struct zmalloc_mapping *mapping, void *context)
{
    struct process *process = context;
    if (process->count == MOST_MAPPINGS) {
        return 1;
    }
    struct mapping *copy = &process->mappings[process->count++];
    *copy = (struct mapping){.begin = mapping->begin, .end = mapping->end, .offset = mapping->offset};
    snprintf(copy->permissions, sizeof(copy->permissions), "%s", mapping->permissions);
    snprintf(copy->path, sizeof(copy->path), "%s", mapping->path);
    copy->fields.count = mapping->count;
    memcpy(copy->fields.all, mapping->fields, mapping->count * sizeof(*mapping->fields));
    return 0;
}

#endif
