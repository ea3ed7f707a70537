/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: the machine's memory, and pages. Processes are process.c's, limits cgroup.c's. */
#include "os/linux/file.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

int zm_os_memory_size(uint64_t *bytes)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    if (pages <= 0) {
        return -ENOSYS;
    }
    *bytes = (uint64_t) pages * zm_os_page_size();
    return 0;
}

/* The kernel's rule for all processes: "always [madvise] never", the one in force in brackets. */
static int parse_thp(const char *text, enum zm_thp *mode)
{
    static const char *const words[] = {"[never]", "[madvise]", "[always]"};
    for (int i = ZM_THP_NEVER; i <= ZM_THP_ALWAYS; i++) {
        if (strstr(text, words[i]) != NULL) {
            *mode = (enum zm_thp) i;
            return 0;
        }
    }
    return -EIO;
}

static int system_thp(enum zm_thp *mode)
{
    char text[64];
    long length = zm_file_read_text_of(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text));
    if (length == -ENOENT) {
        *mode = ZM_THP_NEVER; /* a kernel without huge pages, if it speaks at all */
        return access("/sys/kernel/mm", F_OK) == 0 ? 0 : -ENOSYS;
    }
    return length >= 0 ? parse_thp(text, mode) : (int) length;
}

static int read_thp_enabled(void *context, const char *line, size_t length)
{
    static const char none[] = "THP_enabled:\t0";
    bool is_disabled = length >= sizeof(none) - 1 && memcmp(line, none, sizeof(none) - 1) == 0;
    *(int *) context |= is_disabled;
    return is_disabled;
}

/*
 * The process's own rule, which it may have from who started it. Where it may not ask, as in some sandboxes, /proc
 * has it, since Linux 5.0.
 */
static int get_thp_disabled(void)
{
    int disabled = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
    if (disabled < 0) {
        disabled = 0;
        zm_file_read_short_lines(AT_FDCWD, "/proc/thread-self/status", read_thp_enabled, &disabled);
    }
    return disabled;
}

int zm_os_thp(enum zm_thp *mode)
{
    enum { EXCEPT_ADVISED = 2 }; /* with it, what asks for huge pages by madvise still gets them */
    int disabled = get_thp_disabled();
    int error = system_thp(mode);
    enum zm_thp most = disabled == 0 ? ZM_THP_ALWAYS : disabled & EXCEPT_ADVISED ? ZM_THP_MADVISE : ZM_THP_NEVER;
    if (error == 0 && *mode > most) {
        *mode = most;
    }
    return error;
}

int zm_os_disable_thp(bool disable)
{
    if (prctl(PR_SET_THP_DISABLE, disable, 0, 0, 0) == 0) {
        return 0;
    }
    return errno != EINVAL ? -errno : -ENOSYS; /* the arguments are right: a kernel or a sandbox without it */
}

void zm_os_discard(void *pages, size_t bytes)
{
    madvise(pages, bytes, MADV_DONTNEED);
}
