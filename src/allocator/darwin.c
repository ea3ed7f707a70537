/* SPDX-License-Identifier: BSD-3-Clause */
/* The macOS allocator, the cold half: statistics of all its zones together. */
#include "allocator/allocator.h"

#include <errno.h>

/* It is part of the system and has no version of its own. */
const char *zm_allocator_name(void)
{
    return "darwin";
}

int zm_allocator_info(struct zm_allocator_info *info)
{
    malloc_statistics_t all;
    malloc_zone_statistics(NULL, &all);
    info->allocated = all.size_in_use;
    /* A zone tells what it reserved, but neither its pages in use nor those that are resident. */
    info->mapped = all.size_allocated;
    return 0;
}

int zm_allocator_purge(void)
{
    malloc_zone_pressure_relief(NULL, 0);
    return 0;
}
