/* SPDX-License-Identifier: BSD-3-Clause */
/* Mappings from records and counts of pages: what is the same on every system that tells them so. */
#include "os/unix/region.h"

#include "util/saturate.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

void zm_region_begin(struct zm_mapping *mapping, uint64_t begin, uint64_t end, unsigned permissions)
{
    mapping->begin = begin;
    mapping->end = end;
    mapping->offset = 0;
    mapping->path = "";
    mapping->permissions[0] = (permissions & ZM_REGION_READ) != 0 ? 'r' : '-';
    mapping->permissions[1] = (permissions & ZM_REGION_WRITE) != 0 ? 'w' : '-';
    mapping->permissions[2] = (permissions & ZM_REGION_EXECUTE) != 0 ? 'x' : '-';
    mapping->permissions[3] = (permissions & ZM_REGION_SHARED) != 0 ? 's' : 'p';
    mapping->permissions[4] = '\0';
    zm_fields_begin(&mapping->fields);
    zm_region_add(mapping, "Size", end - begin, 1);
}

void zm_region_is_of_file(struct zm_mapping *mapping, const char *path, uint64_t offset)
{
    mapping->path = path;
    mapping->offset = *path != '\0' ? offset : 0;
}

void zm_region_add(struct zm_mapping *mapping, const char *field, uint64_t pages, size_t page_size)
{
    uint64_t bytes = zm_times64(pages, page_size);
    zm_fields_add(&mapping->fields, field, strlen(field), bytes);
}

int zm_region_visit_all(zm_region_finder *find, void *finder, zm_mapping_visitor *visit, void *context)
{
    uint64_t address = 0;
    for (bool is_first = true;; is_first = false) {
        struct zm_mapping mapping;
        int found = find(finder, address, &mapping);
        if (found <= 0) {
            return found == 0 && is_first ? -ESRCH : found;
        }
        int enough = visit(&mapping, context);
        /* The end is not above at the very top, where it is 0. */
        if (enough != 0 || mapping.end <= address) {
            return enough;
        }
        address = mapping.end;
    }
}

int zm_region_sum(const struct zm_mapping *mapping, void *context)
{
    for (size_t i = 0; i < mapping->fields.count; i++) {
        const struct zm_field *field = &mapping->fields.all[i];
        if (strcmp(field->name, "Rss") != 0) {
            zm_fields_add(context, field->name, strlen(field->name), field->bytes);
        }
    }
    return 0;
}

const void *zm_region_next_record(const void *records, size_t length, size_t *offset, size_t least)
{
    size_t left = length - *offset;
    int size;
    if (left < sizeof(size)) {
        return NULL;
    }
    const char *record = (const char *) records + *offset;
    memcpy(&size, record, sizeof(size));
    /* A negative size is larger than anything. */
    if ((size_t) size < least || (size_t) size > left) {
        return NULL;
    }
    *offset += (size_t) size;
    return record;
}
