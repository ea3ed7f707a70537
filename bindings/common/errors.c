/* SPDX-License-Identifier: BSD-3-Clause */
/* See errors.h. */
#include "errors.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A limit is about what the allocator makes of a request: up to twice its size, and some bytes more. */
static size_t most_counted(size_t size)
{
    enum { MORE = 4096 };
    return size <= (SIZE_MAX - MORE) / 2 ? 2 * size + MORE : SIZE_MAX;
}

struct refusal why_refused(size_t size, size_t old)
{
    struct refusal refusal = {.size = size, .limit = zmalloc_limit(), .used = zmalloc_used_memory()};
    size_t others = refusal.used > old ? refusal.used - old : 0;
    if (others <= refusal.limit && most_counted(size) <= refusal.limit - others) {
        refusal.limit = 0;
    }
    return refusal;
}

void write_refusal(refusal_text text, const char *call, const struct refusal *refusal)
{
    int length = snprintf(text, sizeof(refusal_text), "%s: can't allocate a size of %zu bytes", call, refusal->size);
    if (refusal->limit != 0) {
        snprintf(text + length, sizeof(refusal_text) - (size_t) length,
                 ": the limit of %zu bytes refused it, with %zu in use", refusal->limit, refusal->used);
    }
}

static const char *why_unpublished(int error)
{
    switch (error) {
    case ENOENT:
        return "the process publishes no figures";
    case EAGAIN:
        return "the page of the process is being written all the time";
    case EPERM:
        return "the page is another process's, or another user's";
    case EPROTONOSUPPORT:
        return "the page is another version's";
    case EBADMSG:
        return "what the process has published is no page of figures";
    default:
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): of a number that the system has, the text is a constant */
        return strerror(error);
    }
}

void write_published_error(refusal_text text, const char *call, int error, const struct zmalloc_published *published)
{
    enum { A_SECOND_US = 1000000 };
    if (error == ESTALE) {
        snprintf(text, sizeof(refusal_text), "%s: the process has not refreshed its figures for %llu seconds", call,
                 (unsigned long long) published->age_us / A_SECOND_US);
    } else {
        snprintf(text, sizeof(refusal_text), "%s: %s", call, why_unpublished(error));
    }
}

static const char *skip_signs(const char *name)
{
    while (*name != '\0' && !isalnum((unsigned char) *name)) {
        name++;
    }
    return name;
}

static bool is_near(const char *one, const char *other)
{
    one = skip_signs(one);
    other = skip_signs(other);
    while (*one != '\0' && tolower((unsigned char) *one) == tolower((unsigned char) *other)) {
        one = skip_signs(one + 1);
        other = skip_signs(other + 1);
    }
    return *one == *other;
}

bool near_field(const char *name, field_name near)
{
    struct zmalloc_field fields[ZMALLOC_MOST_FIELDS];
    size_t count = ZMALLOC_MOST_FIELDS;
    if (zmalloc_smaps(-1, fields, &count) != 0) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (is_near(name, fields[i].name)) {
            memcpy(near, fields[i].name, sizeof(field_name));
            return true;
        }
    }
    return false;
}
