/* SPDX-License-Identifier: BSD-3-Clause */
/* FreeBSD: processes by sysctl. */
#include "os/os.h"
#include "os/unix/region.h"

#include <sys/param.h>
#include <sys/sysctl.h>
#include <sys/user.h>

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

_Static_assert(ZM_REGION_READ == KVME_PROT_READ && ZM_REGION_WRITE == KVME_PROT_WRITE &&
                   ZM_REGION_EXECUTE == KVME_PROT_EXEC,
               "permissions are taken as they are");

/* No process's number is as large as the largest. */
static int number_of(long pid)
{
    return pid == -1 ? getpid() : pid <= INT_MAX ? (int) pid : INT_MAX;
}

static int ask(int question, long pid, void *answer, size_t *length)
{
    int name[] = {CTL_KERN, KERN_PROC, question, number_of(pid)};
    if (sysctl(name, sizeof(name) / sizeof(name[0]), answer, length, NULL, 0) == 0) {
        return 0;
    }
    return errno == EPERM ? -EACCES : -errno;
}

/* A zombie, and a process of the kernel's own, have no memory. */
int zm_os_rss(long pid, uint64_t *bytes)
{
    struct kinfo_proc process;
    size_t length = sizeof(process);
    int error = ask(KERN_PROC_PID, pid, &process, &length);
    if (error != 0) {
        return error;
    }
    if (length != sizeof(process) || process.ki_stat == SZOMB || (process.ki_flag & P_KPROC) != 0) {
        return -ESRCH;
    }
    *bytes = (uint64_t) process.ki_rssize * zm_os_page_size();
    return 0;
}

/* What is copied on write is private. So is memory without a file, unless it has a name: it doesn't say otherwise. */
static bool is_shared(const struct kinfo_vmentry *entry)
{
    if ((entry->kve_flags & (KVME_FLAG_COW | KVME_FLAG_NEEDS_COPY)) != 0) {
        return false;
    }
    return entry->kve_type == KVME_TYPE_VNODE || entry->kve_type == KVME_TYPE_DEVICE ||
           entry->kve_type == KVME_TYPE_PHYS || (entry->kve_flags & (KVME_FLAG_SYSVSHM | KVME_FLAG_POSIXSHM)) != 0;
}

static void describe(const struct kinfo_vmentry *entry, size_t page_size, struct zm_mapping *mapping)
{
    zm_region_begin(mapping, entry->kve_start, entry->kve_end,
                    (unsigned) entry->kve_protection | (is_shared(entry) ? ZM_REGION_SHARED : 0u));
    zm_region_is_of_file(mapping, entry->kve_path, entry->kve_offset);
    zm_region_add(mapping, "Rss", (unsigned) entry->kve_resident, page_size);
    zm_region_add(mapping, "Private", (unsigned) entry->kve_private_resident, page_size);
}

static int visit_entries(const void *entries, size_t length, zm_mapping_visitor *visit, void *context)
{
    enum { LEAST = offsetof(struct kinfo_vmentry, kve_path) + 1 };
    size_t page_size = zm_os_page_size();
    size_t offset = 0;
    const struct kinfo_vmentry *entry;
    while ((entry = zm_region_next_record(entries, length, &offset, LEAST)) != NULL) {
        struct zm_mapping mapping;
        describe(entry, page_size, &mapping);
        int enough = visit(&mapping, context);
        if (enough != 0) {
            return enough;
        }
    }
    return offset > 0 ? 0 : -ESRCH;
}

/* Grows the room until the answer fits, as the process may map more meanwhile. */
int zm_os_mappings(long pid, zm_mapping_visitor *visit, void *context)
{
    size_t size = 0;
    int error = ask(KERN_PROC_VMMAP, pid, NULL, &size);
    if (error != 0) {
        return error;
    }
    do {
        size = roundup2(size + size / 2 + 1, zm_os_page_size());
        void *entries = zm_os_map(size);
        if (entries == NULL) {
            return -ENOMEM;
        }
        size_t length = size;
        error = ask(KERN_PROC_VMMAP, pid, entries, &length);
        if (error == 0) {
            error = visit_entries(entries, length, visit, context);
            zm_os_unmap(entries, size);
            return error;
        }
        zm_os_unmap(entries, size);
    } while (error == -ENOMEM);
    return error;
}

int zm_os_rollup(long pid, struct zm_fields *sums)
{
    uint64_t rss;
    int error = zm_os_rss(pid, &rss);
    if (error != 0) {
        return error;
    }
    zm_fields_begin(sums);
    zm_fields_add(sums, "Rss", strlen("Rss"), rss);
    return zm_os_mappings(pid, zm_region_sum, sums);
}

int zm_os_memory_size(uint64_t *bytes)
{
    unsigned long size;
    size_t length = sizeof(size);
    if (sysctlbyname("hw.physmem", &size, &length, NULL, 0) != 0) {
        return -errno;
    }
    *bytes = size;
    return 0;
}
