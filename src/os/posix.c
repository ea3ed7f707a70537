/* SPDX-License-Identifier: BSD-3-Clause */
/* What all Unix systems have alike. */
#include "os.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static int resource_limit(int resource, uint64_t *bytes)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0) {
        return -errno;
    }
    *bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t) limit.rlim_cur;
    return 0;
}

int zm_os_resource_limits(uint64_t *address_space, uint64_t *data)
{
    int error = resource_limit(RLIMIT_AS, address_space);
    return error == 0 ? resource_limit(RLIMIT_DATA, data) : error;
}

void *zm_os_map(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void zm_os_unmap(void *pages, size_t bytes)
{
    munmap(pages, bytes);
}

size_t zm_os_page_size(void)
{
    return (size_t) sysconf(_SC_PAGESIZE);
}
