/* SPDX-License-Identifier: BSD-3-Clause */
/* What each call about the memory of a process returns where the process can't be asked. */
#ifndef PROCESS_ERRORS_H
#define PROCESS_ERRORS_H

#include "children.h"

#include <limits.h>

static char rss_field[] = "Rss";

static inline int pass(const struct zmalloc_mapping *mapping, void *context)
{
    (void) mapping;
    int *visits = context;
    ++*visits;
    return 0;
}

/* What each call about the memory of a process returns, if all of them return the same and write what they have to.
 */
static inline int error_of_all(long pid)
{
    struct zmalloc_field fields[ZMALLOC_MOST_FIELDS];
    size_t dirty = 1;
    size_t sum = 1;
    size_t of_smaps = 1;
    size_t count = ZMALLOC_MOST_FIELDS;
    int visits = 0;
    int error = zmalloc_private_dirty(pid, &dirty);
    bool alike = zmalloc_smap_bytes_by_field("Rss", pid, &sum) == error &&
                 zmalloc_smap_bytes_by_field("MMUPageSize:", pid, &of_smaps) == error &&
                 zmalloc_smaps(pid, fields, &count) == error && zmalloc_mappings(pid, pass, &visits) == error;
    bool nothing_told = dirty == 0 && sum == 0 && of_smaps == 0 && count == 0 && visits == 0 &&
                        zmalloc_get_private_dirty(pid) == 0 && zmalloc_get_smap_bytes_by_field(rss_field, pid) == 0;
    if (!alike || nothing_told != (error != 0)) {
        return INT_MAX;
    }
    /* A field that nobody has is no excuse for another error. */
    return error != 0 && zmalloc_smap_bytes_by_field("Nonesuch", pid, &sum) != error ? INT_MAX : error;
}

static inline int error_of_rss(long pid)
{
    size_t bytes = 1;
    int error = zmalloc_process_rss(pid, &bytes);
    return (bytes == 0) == (error != 0) ? error : INT_MAX;
}

#endif
