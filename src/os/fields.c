/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures by name: finding and adding. */
#include "os/fields.h"

#include "util/saturate.h"

#include <stdbool.h>
#include <string.h>

void zm_fields_begin(struct zm_fields *fields)
{
    fields->count = 0;
    fields->named = 0;
}

void zm_fields_begin_again(struct zm_fields *fields)
{
    fields->count = 0;
}

static bool is_called(const struct zm_field *field, const char *name, size_t length)
{
    return memcmp(field->name, name, length) == 0 && field->name[length] == '\0';
}

/* The field's index, or the count. */
static size_t find(const struct zm_fields *fields, const char *name, size_t length)
{
    size_t i = 0;
    while (i < fields->count && !is_called(&fields->all[i], name, length)) {
        i++;
    }
    return i;
}

const uint64_t *zm_fields_find(const struct zm_fields *fields, const char *name, size_t length)
{
    if (length > ZM_LONGEST_FIELD) {
        return NULL;
    }
    size_t i = find(fields, name, length);
    return i < fields->count ? &fields->all[i].bytes : NULL;
}

/* Whether the next field was of that name the last time too. */
static bool comes_again(const struct zm_fields *fields, const char *name, size_t length)
{
    return fields->count < fields->named && is_called(&fields->all[fields->count], name, length);
}

static void append(struct zm_fields *fields, const char *name, size_t length)
{
    struct zm_field *field = &fields->all[fields->count++];
    memset(field->name, 0, sizeof(field->name));
    memcpy(field->name, name, length);
    field->bytes = 0;
    fields->named = fields->count;
}

void zm_fields_add(struct zm_fields *fields, const char *name, size_t length, uint64_t bytes)
{
    if (length > ZM_LONGEST_FIELD) {
        return;
    }
    if (comes_again(fields, name, length)) {
        fields->all[fields->count++].bytes = bytes;
        return;
    }
    size_t i = find(fields, name, length);
    if (i == ZM_MOST_FIELDS) {
        return;
    }
    if (i == fields->count) {
        append(fields, name, length);
    }
    fields->all[i].bytes = zm_plus64(fields->all[i].bytes, bytes);
}

void zm_fields_add_all(struct zm_fields *sums, const struct zm_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct zm_field *field = &fields->all[i];
        size_t length = strlen(field->name);
        if (i < sums->count && is_called(&sums->all[i], field->name, length)) {
            sums->all[i].bytes = zm_plus64(sums->all[i].bytes, field->bytes);
        } else {
            zm_fields_add(sums, field->name, length, field->bytes);
        }
    }
}
