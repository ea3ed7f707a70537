/* SPDX-License-Identifier: BSD-3-Clause */
/* A platform that nobody has written yet: it says so. */
#include "os.h"

#include <errno.h>

int zm_os_rss(size_t *bytes)
{
    (void) bytes;
    return -ENOSYS;
}

int zm_os_memory_size(size_t *bytes)
{
    (void) bytes;
    return -ENOSYS;
}

int zm_os_smaps_field(const char *name, size_t name_length, long pid, size_t *bytes)
{
    (void) name;
    (void) name_length;
    (void) pid;
    (void) bytes;
    return -ENOSYS;
}

int zm_os_private_dirty(long pid, size_t *bytes)
{
    (void) pid;
    (void) bytes;
    return -ENOSYS;
}

int zm_os_proc_stat(int field, long long *value)
{
    (void) field;
    (void) value;
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

size_t zm_os_page_size(void)
{
    return 4096;
}

void zm_os_discard(void *pages, size_t bytes)
{
    (void) pages;
    (void) bytes;
}
