/* SPDX-License-Identifier: BSD-3-Clause */
/* What all Unix systems have alike. */
#include "os/os.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t bytes_of(const struct rlimit *limit)
{
    return limit->rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t) limit->rlim_cur;
}

int zm_os_resource_limits(uint64_t *address_space, uint64_t *data)
{
    struct rlimit limits[2];
    if (getrlimit(RLIMIT_AS, &limits[0]) != 0 || getrlimit(RLIMIT_DATA, &limits[1]) != 0) {
        return -errno;
    }
    *address_space = bytes_of(&limits[0]);
    *data = bytes_of(&limits[1]);
    return 0;
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
