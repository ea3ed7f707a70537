/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures by name, in bytes: what a platform tells of a mapping, or of all of them together. */
#ifndef ZM_FIELDS_H
#define ZM_FIELDS_H

#include <stddef.h>
#include <stdint.h>

/* Linux has some 25. Those beyond, and longer names, are left out. */
enum { ZM_MOST_FIELDS = 48, ZM_LONGEST_FIELD = 31 };

struct zm_field {
    char name[ZM_LONGEST_FIELD + 1]; /* NULs to its end */
    uint64_t bytes;                  /* UINT64_MAX: that or more */
};

struct zm_fields {
    size_t count;
    size_t named; /* at least as many: names that are left from the last time, all different */
    struct zm_field all[ZM_MOST_FIELDS];
};

/* No fields. */
void zm_fields_begin(struct zm_fields *fields);

/* No fields; the names that they had are likely to come again, in the same order, and are then found at once. */
void zm_fields_begin_again(struct zm_fields *fields);

/* The field's bytes, or NULL. */
const uint64_t *zm_fields_find(const struct zm_fields *fields, const char *name, size_t length);

/* Adds to the field of that name, which is made at the end if it is new. */
void zm_fields_add(struct zm_fields *fields, const char *name, size_t length, uint64_t bytes);

/* Adds all of one to another. */
void zm_fields_add_all(struct zm_fields *sums, const struct zm_fields *fields);

#endif
