/* SPDX-License-Identifier: BSD-3-Clause */
/* What all Unix systems have alike. */
#include "os/os.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
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

#if defined(MADV_WIPEONFORK)
/* Emulators that ignore all advice say yes to it, and to advice that does not exist. */
static bool is_cleared_in_child(void *pages, size_t bytes)
{
    enum { NO_ADVICE = -1 };
    return madvise(pages, bytes, MADV_WIPEONFORK) == 0 && madvise(pages, bytes, NO_ADVICE) != 0;
}
#elif defined(INHERIT_ZERO)
static bool is_cleared_in_child(void *pages, size_t bytes)
{
    return minherit(pages, bytes, INHERIT_ZERO) == 0;
}
#else
static bool is_cleared_in_child(void *pages, size_t bytes)
{
    (void) pages;
    (void) bytes;
    return false;
}
#endif

void *zm_os_map_cleared_in_child(size_t bytes)
{
    void *pages = zm_os_map(bytes);
    if (pages != NULL && !is_cleared_in_child(pages, bytes)) {
        zm_os_unmap(pages, bytes);
        return NULL;
    }
    return pages;
}

bool zm_os_is_mapped(const void *start, size_t bytes)
{
    enum { MOST = 8 };
    unsigned char pages[MOST];
    int error = errno;
    size_t into_page = (uintptr_t) start % zm_os_page_size();
    char *page = (char *) start - into_page;
    bool is_mapped = mincore(page, into_page + bytes, (void *) pages) == 0 || errno != ENOMEM;
    errno = error;
    return is_mapped;
}

long zm_os_own_number(void)
{
    return (long) getpid();
}

size_t zm_os_page_size(void)
{
    return (size_t) sysconf(_SC_PAGESIZE);
}

uint64_t zm_os_microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}
