/* SPDX-License-Identifier: BSD-3-Clause */
/* See records.h. */
#include "records.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

const struct record *record_at(const struct records *records, size_t position)
{
    return (const struct record *) (records->bytes + position);
}

const size_t *record_figures(const struct record *record)
{
    return (const size_t *) (record + 1);
}

const record_name *record_names(const struct records *records, const struct record *record)
{
    return (const record_name *) (records->bytes + record->names);
}

const char *record_path(const struct record *record)
{
    return (const char *) record + record->size - (record->path_length / 8 + 1) * 8;
}

static bool has_last_names(const struct records *records, const struct zmalloc_mapping *mapping)
{
    if (records->count == 0 || record_at(records, records->last)->count != mapping->count) {
        return false;
    }
    const record_name *names = record_names(records, record_at(records, records->last));
    for (size_t i = 0; i < mapping->count; i++) {
        if (memcmp(names[i], mapping->fields[i].name, sizeof(names[i])) != 0) {
            return false;
        }
    }
    return true;
}

static bool make_room(struct records *records, size_t size)
{
    if (records->room - records->used >= size) {
        return true;
    }
    size_t room = records->room * 2 + size + 4096;
    char *bytes = realloc(records->bytes, room);
    if (bytes == NULL) {
        return false;
    }
    records->bytes = bytes;
    records->room = room;
    return true;
}

int keep_mapping(const struct zmalloc_mapping *mapping, void *context)
{
    struct records *records = context;
    bool same_names = has_last_names(records, mapping);
    size_t figures_end = sizeof(struct record) + (mapping->count * sizeof(size_t) + 7) / 8 * 8;
    size_t names_end = figures_end + (same_names ? 0 : mapping->count * sizeof(record_name));
    size_t path_length = strlen(mapping->path);
    size_t size = names_end + (path_length / 8 + 1) * 8;
    if (!make_room(records, size)) {
        return -ENOMEM;
    }

    char *place = records->bytes + records->used;
    struct record *record = (struct record *) place;
    *record = (struct record){
        .begin = mapping->begin,
        .end = mapping->end,
        .offset = mapping->offset,
        .count = mapping->count,
        .names = same_names ? record_at(records, records->last)->names : records->used + figures_end,
        .path_length = path_length,
        .size = size,
    };
    strncpy(record->permissions, mapping->permissions, sizeof(record->permissions) - 1);
    size_t *figures = (size_t *) (record + 1);
    for (size_t i = 0; i < mapping->count; i++) {
        figures[i] = mapping->fields[i].bytes;
        if (!same_names) {
            memcpy(place + figures_end + i * sizeof(record_name), mapping->fields[i].name, sizeof(record_name));
        }
    }
    memcpy(place + names_end, mapping->path, path_length + 1);
    records->last = records->used;
    records->used += size;
    records->count++;
    return 0;
}

void forget_records(struct records *records)
{
    free(records->bytes);
    *records = (struct records){0};
}
