/* SPDX-License-Identifier: BSD-3-Clause */
/* A platform that nobody has written yet: it says so. */
#include "os/os.h"

#include <errno.h>
#include <time.h>

int zm_os_rss(long pid, uint64_t *bytes)
{
    (void) pid;
    (void) bytes;
    return -ENOSYS;
}

int zm_os_mappings(long pid, zm_mapping_visitor *visit, void *context)
{
    (void) pid;
    (void) visit;
    (void) context;
    return -ENOSYS;
}

int zm_os_rollup(long pid, struct zm_fields *sums)
{
    (void) pid;
    (void) sums;
    return -ENOSYS;
}

int zm_os_memory_size(uint64_t *bytes)
{
    (void) bytes;
    return -ENOSYS;
}

int zm_os_resource_limits(uint64_t *address_space, uint64_t *data)
{
    (void) address_space;
    (void) data;
    return -ENOSYS;
}

void *zm_os_map(size_t bytes)
{
    (void) bytes;
    return NULL;
}

void zm_os_unmap(void *pages, size_t bytes)
{
    (void) pages;
    (void) bytes;
}

void *zm_os_map_cleared_in_child(size_t bytes)
{
    (void) bytes;
    return NULL;
}

bool zm_os_is_mapped(const void *start, size_t bytes)
{
    (void) start;
    (void) bytes;
    return true;
}

long zm_os_own_number(void)
{
    return 1; /* of the only one that this one knows */
}

size_t zm_os_page_size(void)
{
    return 4096;
}

void zm_os_discard(void *pages, size_t bytes)
{
    (void) pages;
    (void) bytes;
}

uint64_t zm_os_microseconds(void)
{
    return (uint64_t) clock() * 1000000 / CLOCKS_PER_SEC; /* the standard's only one that does not jump */
}
