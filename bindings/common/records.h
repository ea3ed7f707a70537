/* SPDX-License-Identifier: BSD-3-Clause */
/* What zmalloc_mappings tells, kept until it is over: its visitor must not make a script's values, which can fail. */
#ifndef RECORDS_H
#define RECORDS_H

#include "zmalloc.h"

#include <stddef.h>
#include <stdint.h>

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

const struct record *record_at(const struct records *records, size_t position);

const size_t *record_figures(const struct record *record);

const record_name *record_names(const struct records *records, const struct record *record);

const char *record_path(const struct record *record);

/* The visitor. */
int keep_mapping(const struct zmalloc_mapping *mapping, void *context);

void forget_records(struct records *records);

#endif
