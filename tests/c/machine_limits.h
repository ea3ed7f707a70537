/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of the machine's limits share: how much memory there may be, as the library says it. */
#ifndef MACHINE_LIMITS_H
#define MACHINE_LIMITS_H

#include "children.h"

static inline struct zmalloc_memory_limits limits_now(void)
{
    struct zmalloc_memory_limits limits = {.size = sizeof(limits)};
    check(zmalloc_memory_limits(&limits) == 0);
    return limits;
}

static inline size_t least(const struct zmalloc_memory_limits *limits)
{
    const size_t all[] = {limits->physical, limits->cgroup, limits->address_space, limits->data};
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    size_t found = SIZE_MAX - page + 1; /* as far as pointers reach */
    for (size_t i = 0; i < LENGTH(all); i++) {
        found = all[i] < found ? all[i] : found;
    }
    return found;
}

static inline void check_least(void)
{
    struct zmalloc_memory_limits limits = limits_now();
    size_t bytes = 1;
    check(zmalloc_memory_limit(&bytes) == 0);
    check(bytes == least(&limits) && bytes > 0);
    size_t physical;
    check(zmalloc_memory_size(&physical) == 0 ? limits.physical == physical : limits.physical == ZMALLOC_NO_LIMIT);
}

#endif
