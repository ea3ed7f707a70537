/* SPDX-License-Identifier: BSD-3-Clause */
/* Questions allocate nothing: every malloc in this process is counted. */
#include "counted_malloc.h"
#include "zmalloc.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int pass(const struct zmalloc_mapping *mapping, void *context)
{
    (void) mapping;
    (void) context;
    return 0;
}

static void ask_of(long pid)
{
    static struct zmalloc_field fields[ZMALLOC_MOST_FIELDS];
    size_t bytes;
    size_t count = ZMALLOC_MOST_FIELDS;
    zmalloc_process_rss(pid, &bytes);
    zmalloc_private_dirty(pid, &bytes);
    zmalloc_smap_bytes_by_field("Size", pid, &bytes);
    zmalloc_smap_bytes_by_field("Nonesuch", pid, &bytes);
    zmalloc_smaps(pid, fields, &count);
    zmalloc_mappings(pid, pass, NULL);
}

static void ask(void)
{
    struct zmalloc_memory_limits limits = {.size = sizeof(limits)};
    struct zmalloc_report report = {.size = sizeof(report)};
    size_t bytes;
    long long value;
    int mode;
    zmalloc_get_rss();
    zmalloc_memory_size(&bytes);
    zmalloc_memory_limits(&limits);
    zmalloc_memory_limit(&bytes);
    zmalloc_thp(&mode);
    get_proc_stat_ll(24, &value);
    zmalloc_report(&report, 0);
    zmalloc_report(&report, 1);
}

int main(void)
{
    void *volatile block = malloc(1);
    if (calls == 0) {
        fprintf(stderr, "calls are not counted\n");
        return 1;
    }
    free(block);
    calls = 0;
    ask_of(-1);
    ask_of(getppid());
    ask_of(LONG_MAX);
    ask();
    fprintf(stderr, "%ld calls of malloc\n", calls);
    return calls == 0 ? 0 : 1;
}
