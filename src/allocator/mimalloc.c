/* SPDX-License-Identifier: BSD-3-Clause */
/* mimalloc, the cold half. */
#include "allocator/allocator.h"

#include <errno.h>

/* The version is one number, 209 for 2.0.9. */
#define DIGIT(divisor) (char) ('0' + MI_MALLOC_VERSION / (divisor) % 10)

static const char name[] = {'m', 'i',        'm', 'a',       'l', 'l',      'o', 'c',
                            '-', DIGIT(100), '.', DIGIT(10), '.', DIGIT(1), '\0'};

const char *zm_allocator_name(void)
{
    return name;
}

int zm_allocator_info(struct zm_allocator_info *info)
{
    /* It counts blocks for each thread's heap, which only that thread may visit. */
    mi_process_info(NULL, NULL, NULL, NULL, NULL, &info->resident, NULL, NULL);
    return 0;
}

int zm_allocator_purge(void)
{
    mi_collect(true);
    return 0;
}
