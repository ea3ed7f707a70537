/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures by name: finding and adding. */
#include "fields.h"

#include <stdbool.h>
#include <string.h>

static bool is_called(const struct zm_field *field, const char *name, size_t length)
{
    return memcmp(field->name, name, length) == 0 && field->name[length] == '\0';
}

/* The field's index, or the count. The same fields come in the same order each time: a guess is mostly right. */
static size_t find(const struct zm_fields *fields, const char *name, size_t length, size_t guess)
{
    if (guess < fields->count && is_called(&fields->all[guess], name, length)) {
        return guess;
    }
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
    size_t i = find(fields, name, length, 0);
    return i < fields->count ? &fields->all[i].bytes : NULL;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a <= UINT64_MAX - b ? a + b : UINT64_MAX;
}

static void add(struct zm_fields *fields, const char *name, size_t length, uint64_t bytes, size_t guess)
{
    size_t i = length <= ZM_LONGEST_FIELD ? find(fields, name, length, guess) : ZM_MOST_FIELDS;
    if (i == ZM_MOST_FIELDS) {
        return;
    }
    struct zm_field *field = &fields->all[i];
    if (i == fields->count) {
        memcpy(field->name, name, length);
        field->name[length] = '\0';
        field->bytes = 0;
        fields->count++;
    }
    field->bytes = sum(field->bytes, bytes);
}

void zm_fields_add(struct zm_fields *fields, const char *name, size_t length, uint64_t bytes)
{
    add(fields, name, length, bytes, fields->count);
}

void zm_fields_add_all(struct zm_fields *sums, const struct zm_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct zm_field *field = &fields->all[i];
        add(sums, field->name, strlen(field->name), field->bytes, i);
    }
}
