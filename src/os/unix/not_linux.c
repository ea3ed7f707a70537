/* SPDX-License-Identifier: BSD-3-Clause */
/* Every other system's word on what Linux alone has. */
#include "os/os.h"

#include <errno.h>

/* Where there is a /proc, it is another one. */
int zm_os_proc_stat(int field, long long *value)
{
    (void) field;
    (void) value;
    return -ENOSYS;
}

int zm_os_cgroup_limit(uint64_t *bytes)
{
    *bytes = UINT64_MAX;
    return 0;
}

int zm_os_thp(enum zm_thp *mode)
{
    (void) mode;
    return -ENOSYS;
}

int zm_os_disable_thp(bool disable)
{
    (void) disable;
    return -ENOSYS;
}

int zm_os_prepare_barrier(void)
{
    return -ENOSYS;
}

int zm_os_barrier_in_all_threads(void)
{
    return -ENOSYS;
}

bool zm_os_is_first_thread(pthread_t thread)
{
    (void) thread;
    return false;
}

int zm_os_page_make(const char *name, const void *content, size_t bytes, struct zm_os_page *page)
{
    (void) name;
    (void) content;
    (void) bytes;
    page->memory = NULL;
    return -ENOSYS;
}

bool zm_os_page_can_be_found(const struct zm_os_page *page)
{
    (void) page;
    return false;
}

void zm_os_page_drop(struct zm_os_page *page)
{
    page->memory = NULL;
}

int zm_os_find_pages(long pid, const char *name, int place, zm_os_page_visitor *visit, void *context)
{
    (void) place;
    (void) pid;
    (void) name;
    (void) visit;
    (void) context;
    return -ENOSYS;
}

int zm_os_page_read(const struct zm_os_found_page *page, size_t offset, void *to, size_t bytes)
{
    (void) page;
    (void) offset;
    (void) to;
    (void) bytes;
    return -ENOSYS;
}

int zm_os_wait(_Atomic uint32_t *word, uint32_t value, uint64_t milliseconds)
{
    (void) word;
    (void) value;
    (void) milliseconds;
    return -ENOSYS;
}

void zm_os_wake(_Atomic uint32_t *word)
{
    (void) word;
}
