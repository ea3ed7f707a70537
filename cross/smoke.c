/* SPDX-License-Identifier: BSD-3-Clause */
/* The contract in small, for a platform that the tests proper were not built for. */
#include "zmalloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define check(condition) check_at(__LINE__, (condition), #condition)

enum { LARGE = 8 << 20 };

/* Not a constant to the compiler, which would warn. */
static volatile const size_t too_much = SIZE_MAX;

static void check_at(int line, int holds, const char *condition)
{
    if (!holds) {
        fprintf(stderr, "smoke.c:%d: not so: %s\n", line, condition);
        exit(1);
    }
}

static void check_blocks(void)
{
    size_t before = zmalloc_used_memory();
    char *block = zmalloc(100);
    check(block != NULL && zmalloc_usable_size(block) >= 100);
    check(zmalloc_used_memory() == before + zmalloc_size(block));
    memset(block, 'x', 100);
    block = zrealloc(block, LARGE);
    check(block != NULL && block[99] == 'x');
    char *aligned = zaligned_alloc(4096, 10);
    check((uintptr_t) aligned % 4096 == 0);
    char *text = zstrdup("text");
    check(strcmp(text, "text") == 0);
    check(ztrymalloc(too_much) == NULL);
    zfree(text);
    zfree(aligned);
    zfree_with_size(block, LARGE);
    check(zmalloc_used_memory() == before);
    check(zmalloc_total_allocated() - zmalloc_total_freed() == before);
}

static void check_discarded(void)
{
    unsigned char *block = zmalloc(LARGE);
    memset(block, 'x', LARGE);
    zmadvise_dontneed(block);
    check(block[LARGE / 2] == 0);
    memset(block, 'y', LARGE);
    zfree(block);
}

/* What a field of one mapping, and of all, says of a block that was written to. */
struct search {
    uint64_t address;
    uint64_t last;
    size_t found;
    size_t rss;
};

static int look(const struct zmalloc_mapping *mapping, void *context)
{
    struct search *search = context;
    check(mapping->begin >= search->last && mapping->end > mapping->begin);
    check(strlen(mapping->permissions) == 4);
    search->last = mapping->end;
    if (search->address < mapping->begin || search->address >= mapping->end) {
        return 0;
    }
    search->found++;
    check(mapping->permissions[0] == 'r' && mapping->permissions[1] == 'w');
    for (size_t i = 0; i < mapping->count; i++) {
        if (strcmp(mapping->fields[i].name, "Rss") == 0) {
            search->rss += mapping->fields[i].bytes;
        }
    }
    return 0;
}

static void check_process(void)
{
    char *block = zmalloc(LARGE);
    memset(block, 'x', LARGE);
    size_t rss;
    check(zmalloc_rss(&rss) == 0 && rss >= LARGE);
    struct search search = {.address = (uint64_t) (uintptr_t) block + LARGE / 2};
    check(zmalloc_mappings(-1, look, &search) == 0);
    check(search.found == 1 && search.rss > 0);
    size_t sum;
    check(zmalloc_smap_bytes_by_field("Rss", -1, &sum) == 0 && sum >= LARGE);
    check(zmalloc_smap_bytes_by_field("Nothing", -1, &sum) == -ENOENT && sum == 0);
    check(zmalloc_process_rss(INT32_MAX, &rss) == -ESRCH);
    check(zmalloc_process_rss(0, &rss) == -EINVAL);
    zfree(block);
}

static void check_limits(void)
{
    size_t size;
    size_t limit;
    check(zmalloc_memory_size(&size) == 0 && size >= (size_t) 16 << 20);
    check(zmalloc_memory_limit(&limit) == 0 && limit > 0 && limit <= size);
}

static void check_report(void)
{
    struct zmalloc_report report = {.size = sizeof(report)};
    check(zmalloc_report(&report, 1) == 0);
    int64_t differences[] = {report.allocator_overhead_bytes, report.allocator_frag_bytes, report.allocator_rss_bytes,
                             report.rss_overhead_bytes};
    int64_t sum = (int64_t) report.used;
    for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++) {
        sum += differences[i] != ZMALLOC_UNKNOWN_DIFFERENCE ? differences[i] : 0;
    }
    check(sum == (int64_t) report.rss);
}

int main(void)
{
    check_blocks();
    check_discarded();
    check_process();
    check_limits();
    check_report();
    printf("%s: %zu bytes in use\n", ZMALLOC_LIB, zmalloc_used_memory());
    return 0;
}
