/* SPDX-License-Identifier: BSD-3-Clause */
/* macOS: Mach's task calls, and libproc for other processes. */
#include "os.h"

#include <errno.h>
#include <libproc.h>
#include <mach/mach.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysctl.h>
#include <unistd.h>

int zm_os_rss(size_t *bytes)
{
    struct mach_task_basic_info info;
    mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
    if (task_info(mach_task_self(), MACH_TASK_BASIC_INFO, (task_info_t) &info, &count) != KERN_SUCCESS) {
        return -EIO;
    }
    *bytes = (size_t) info.resident_size;
    return 0;
}

int zm_os_memory_size(size_t *bytes)
{
    uint64_t size;
    size_t length = sizeof(size);
    if (sysctlbyname("hw.memsize", &size, &length, NULL, 0) != 0) {
        return -errno;
    }
    *bytes = (size_t) size;
    return 0;
}

/* macOS has no smaps. */
int zm_os_smaps_field(const char *name, size_t name_length, long pid, size_t *bytes)
{
    (void) name;
    (void) name_length;
    (void) pid;
    (void) bytes;
    return -ENOSYS;
}

/* Each region tells how many of its pages are private and written to. */
int zm_os_private_dirty(long pid, size_t *bytes)
{
    int process = (int) pid;
    if (process != pid) {
        return -ESRCH;
    }
    if (process == -1) {
        process = getpid();
    }
    uint64_t pages = 0;
    uint64_t address = 0;
    struct proc_regioninfo region;
    while (proc_pidinfo(process, PROC_PIDREGIONINFO, address, &region, sizeof(region)) == (int) sizeof(region)) {
        pages += region.pri_pages_dirtied;
        address = region.pri_address + region.pri_size;
    }
    if (address == 0) {
        return errno != 0 ? -errno : -ESRCH;
    }
    *bytes = (size_t) pages * zm_os_page_size();
    return 0;
}

/* macOS has no /proc. */
int zm_os_proc_stat(int field, long long *value)
{
    (void) field;
    (void) value;
    return -ENOSYS;
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

/* MADV_FREE keeps or drops what is there as the system likes; zeroes are the same either way. */
void zm_os_discard(void *pages, size_t bytes)
{
    memset(pages, 0, bytes);
    madvise(pages, bytes, MADV_FREE);
}
