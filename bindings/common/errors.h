/* SPDX-License-Identifier: BSD-3-Clause */
/* The words of errors that both languages have: why there was no memory, and which field was meant. */
#ifndef ERRORS_H
#define ERRORS_H

#include "zmalloc.h"

#include <stdbool.h>
#include <stddef.h>

/* A request that failed, as it was then. */
struct refusal {
    size_t size;
    size_t limit; /* that refused it; 0: it was not a limit */
    size_t used;
};

/* Of a request to make a block of old bytes, or none, one of size bytes. */
struct refusal why_refused(size_t size, size_t old);

/* Room for any call's name. */
typedef char refusal_text[256];

void write_refusal(refusal_text text, const char *call, const struct refusal *refusal);

/* Why there are no figures of a process: by what zmalloc_published returned, and what it wrote. */
void write_published_error(refusal_text text, const char *call, int error, const struct zmalloc_published *published);

typedef char field_name[ZMALLOC_LONGEST_FIELD + 1];

/* Whether there is a field of that name but for its case and for what is no letter or digit, and which. */
bool near_field(const char *name, field_name near);

#endif
