/* SPDX-License-Identifier: BSD-3-Clause */
/* The report: every figure there is, and what lies between them. */
#include "inspect/allocator.h"
#include "inspect/publish.h"
#include "inspect/sized.h"
#include "zmalloc.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* In version 0.2.0, and now. */
enum {
    FIRST_SIZE = ZM_END_OF(struct zmalloc_report, huge_pages),
    SIZE = ZM_END_OF(struct zmalloc_report, allocator_frag_smallbins_bytes)
};

/* Numbers with a fraction need registers that all else may be compiled without: see src/meson.build. */
#ifdef ZM_GENERAL_REGISTERS_ONLY
#define ZM_WITH_FRACTIONS __attribute__((target("sse2")))
#else
#define ZM_WITH_FRACTIONS
#endif

ZM_WITH_FRACTIONS static void set_ratio(double *to, size_t part, size_t whole)
{
    bool known = part != ZMALLOC_UNKNOWN && whole != ZMALLOC_UNKNOWN;
    *to = known && part != 0 && whole != 0 ? (double) whole / (double) part : (double) NAN;
}

/* What the level adds to the one below, which it then takes the place of, if it is known. */
static int64_t climb(size_t *below, size_t level)
{
    if (level == ZMALLOC_UNKNOWN) {
        return ZMALLOC_UNKNOWN_DIFFERENCE;
    }
    int64_t difference = (int64_t) level - (int64_t) *below;
    *below = level;
    return difference;
}

static size_t find(const struct zmalloc_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return fields[i].bytes;
        }
    }
    return ZMALLOC_UNKNOWN;
}

static void fill_from_walk(struct zmalloc_report *report)
{
    struct zmalloc_field fields[ZMALLOC_MOST_FIELDS];
    size_t count = ZMALLOC_MOST_FIELDS;
    zmalloc_smaps(-1, fields, &count);
    size_t rss = find(fields, count, "Rss");
    size_t clean = find(fields, count, "Private_Clean");
    size_t dirty = find(fields, count, "Private_Dirty");
    if (rss != ZMALLOC_UNKNOWN) {
        report->rss = rss;
    }
    if (clean != ZMALLOC_UNKNOWN && dirty != ZMALLOC_UNKNOWN) {
        report->uss = clean + dirty;
    }
    report->pss = find(fields, count, "Pss");
    report->private_dirty = dirty;
    report->swap = find(fields, count, "Swap");
    report->huge_pages = find(fields, count, "AnonHugePages");
    report->private_hugetlb = find(fields, count, "Private_Hugetlb");
    report->shared_hugetlb = find(fields, count, "Shared_Hugetlb");
}

static void fill(struct zmalloc_report *report, int walk)
{
    struct zm_allocator_info info;
    zm_inspect_allocator(&info);
    *report = (struct zmalloc_report){
        .used = zmalloc_used_memory(),
        .allocated = info.allocated,
        .active = info.active,
        .resident = info.resident,
        .mapped = info.mapped,
        .retained = info.retained,
        .metadata = info.metadata,
        .pss = ZMALLOC_UNKNOWN,
        .uss = ZMALLOC_UNKNOWN,
        .private_dirty = ZMALLOC_UNKNOWN,
        .swap = ZMALLOC_UNKNOWN,
        .huge_pages = ZMALLOC_UNKNOWN,
        .private_hugetlb = ZMALLOC_UNKNOWN,
        .shared_hugetlb = ZMALLOC_UNKNOWN,
        .muzzy = info.muzzy,
        .allocator_frag_smallbins_bytes = ZMALLOC_UNKNOWN,
    };
    if (info.small_allocated != ZM_UNKNOWN && info.small_active != ZM_UNKNOWN) {
        report->allocator_frag_smallbins_bytes = info.small_active - info.small_allocated;
    }
    if (zmalloc_rss(&report->rss) != 0) {
        report->rss = ZMALLOC_UNKNOWN;
    }
    if (walk) {
        fill_from_walk(report);
    }
    size_t below = report->used;
    report->allocator_overhead_bytes = climb(&below, report->allocated);
    report->allocator_frag_bytes = climb(&below, report->active);
    report->allocator_rss_bytes = climb(&below, report->resident);
    report->rss_overhead_bytes = climb(&below, report->rss);
    set_ratio(&report->mem_fragmentation_ratio, report->used, report->rss);
    set_ratio(&report->allocator_frag_smallbins_ratio, info.small_allocated, info.small_active);
}

int zmalloc_report(struct zmalloc_report *report, int walk)
{
    if (report == NULL || report->size < FIRST_SIZE) {
        return -EINVAL;
    }
    struct zmalloc_report whole;
    fill(&whole, walk);
    zm_publish_refresh(&whole);
    zm_sized_copy(report, &whole, SIZE);
    return 0;
}
