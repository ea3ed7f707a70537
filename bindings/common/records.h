/* SPDX-License-Identifier: BSD-3-Clause */
/* What zmalloc_mappings tells, kept until it is over: its visitor must not make a script's values, which can fail. */
#ifndef RECORDS_H
#define RECORDS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A mapping. Behind it lie its figures; their names, if those of the record before are others; and its path. */
struct record {
    uint64_t begin;
    uint64_t end;
    uint64_t offset;
    size_t count;       /* of figures */
    size_t names;       /* where their names are in all records' bytes */
    size_t path_length; /* without the NUL */
    size_t size;        /* of all that */
    char permissions[8];
};

typedef char record_name[ZMALLOC_LONGEST_FIELD + 1];

struct records {
    char *bytes; /* one record after another */
    size_t used;
    size_t room;
    size_t last; /* where the last one is */
    size_t count;
};

static const struct record *record_at(const struct records *records, size_t position)
{
    return (const struct record *) (records->bytes + position);
}

static const size_t *record_figures(const struct record *record)
{
    return (const size_t *) (record + 1);
}

static const record_name *record_names(const struct records *records, const struct record *record)
{
    return (const record_name *) (records->bytes + record->names);
}

static const char *record_path(const struct record *record)
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

/* The visitor. */
static int keep_mapping(const struct zmalloc_mapping *mapping, void *context)
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
    for (size_t i = 0; i < mapping->count; i++) {
        ((size_t *) (record + 1))[i] = mapping->fields[i].bytes;
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

static void forget_records(struct records *records)
{
    free(records->bytes);
    *records = (struct records){0};
}

#endif
