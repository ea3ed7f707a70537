/* SPDX-License-Identifier: BSD-3-Clause */
/* macOS: Mach's task calls for this process, libproc for any other of the same user. */
#include "os/os.h"
#include "os/unix/region.h"

#include <errno.h>
#include <libproc.h>
#include <limits.h>
#include <mach/mach.h>
#include <string.h>
#include <sys/sysctl.h>
#include <unistd.h>

_Static_assert(ZM_REGION_READ == VM_PROT_READ && ZM_REGION_WRITE == VM_PROT_WRITE &&
                   ZM_REGION_EXECUTE == VM_PROT_EXECUTE,
               "permissions are taken as they are");

/* libproc says "not permitted" of other users' processes, where the file systems of other kernels deny access. */
static int error_of_libproc(void)
{
    return errno == EPERM ? -EACCES : errno != 0 ? -errno : -EIO;
}

/* No process's number is as large as the largest. */
static pid_t number_of(long pid)
{
    return pid == -1 ? getpid() : pid <= INT_MAX ? (pid_t) pid : INT_MAX;
}

/* Zombies are told of too, until they are waited for. */
static int read_usage(long pid, struct rusage_info_v0 *usage)
{
    errno = 0;
    if (proc_pid_rusage(number_of(pid), RUSAGE_INFO_V0, (rusage_info_t *) usage) != 0) {
        return error_of_libproc();
    }
    return usage->ri_proc_exit_abstime == 0 ? 0 : -ESRCH;
}

static int own_rss(uint64_t *bytes)
{
    struct mach_task_basic_info info;
    mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
    if (task_info(mach_task_self(), MACH_TASK_BASIC_INFO, (task_info_t) &info, &count) != KERN_SUCCESS) {
        return -EIO;
    }
    *bytes = info.resident_size;
    return 0;
}

int zm_os_rss(long pid, uint64_t *bytes)
{
    if (pid == -1) {
        return own_rss(bytes);
    }
    struct rusage_info_v0 usage;
    int error = read_usage(pid, &usage);
    *bytes = error == 0 ? usage.ri_resident_size : 0;
    return error;
}

struct finder {
    pid_t pid;
    size_t page_size;
    struct proc_regionwithpathinfo found;
};

static bool is_shared(const struct proc_regioninfo *region)
{
    return region->pri_share_mode == SM_SHARED || region->pri_share_mode == SM_TRUESHARED ||
           region->pri_share_mode == SM_SHARED_ALIASED;
}

/* Above the last region the kernel calls the address invalid; so it does with any of a process without memory. */
static int find_region(void *context, uint64_t address, struct zm_mapping *mapping)
{
    struct finder *finder = context;
    errno = 0;
    int length = proc_pidinfo(finder->pid, PROC_PIDREGIONPATHINFO, address, &finder->found, sizeof(finder->found));
    if (length <= 0) {
        return errno == EINVAL ? 0 : error_of_libproc();
    }
    if (length != (int) sizeof(finder->found)) {
        return -EIO;
    }
    const struct proc_regioninfo *region = &finder->found.prp_prinfo;
    bool shared = is_shared(region);
    zm_region_begin(mapping, region->pri_address, region->pri_address + region->pri_size,
                    region->pri_protection | (shared ? ZM_REGION_SHARED : 0u));
    zm_region_is_of_file(mapping, finder->found.prp_vip.vip_path, region->pri_offset);
    zm_region_add(mapping, "Rss", region->pri_pages_resident, finder->page_size);
    zm_region_add(mapping, "Private_Dirty", shared ? 0 : region->pri_pages_dirtied, finder->page_size);
    zm_region_add(mapping, "Swap", region->pri_pages_swapped_out, finder->page_size);
    return 1;
}

int zm_os_mappings(long pid, zm_mapping_visitor *visit, void *context)
{
    struct finder finder = {.pid = number_of(pid), .page_size = zm_os_page_size()};
    return zm_region_visit_all(find_region, &finder, visit, context);
}

/* The footprint is what the system holds the process to. */
int zm_os_rollup(long pid, struct zm_fields *sums)
{
    struct rusage_info_v0 usage;
    int error = read_usage(pid, &usage);
    if (error != 0) {
        return error;
    }
    zm_fields_begin(sums);
    zm_fields_add(sums, "Rss", strlen("Rss"), usage.ri_resident_size);
    zm_fields_add(sums, "Footprint", strlen("Footprint"), usage.ri_phys_footprint);
    return zm_os_mappings(pid, zm_region_sum, sums);
}

int zm_os_memory_size(uint64_t *bytes)
{
    size_t length = sizeof(*bytes);
    return sysctlbyname("hw.memsize", bytes, &length, NULL, 0) == 0 ? 0 : -errno;
}
