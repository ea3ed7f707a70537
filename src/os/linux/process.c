/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: what /proc tells of processes. */
#include "os/linux/process.h"

#include "os/linux/file.h"
#include "os/os.h"
#include "os/linux/smaps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Anything may be mounted on /proc, or nothing. */
static bool is_procfs(int fd)
{
    struct statfs mounted;
    return fstatfs(fd, &mounted) == 0 && mounted.f_type == PROC_SUPER_MAGIC;
}

static bool has_procfs(void)
{
    int fd = zm_file_open(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY);
    bool has = fd >= 0 && is_procfs(fd);
    if (fd >= 0) {
        close(fd);
    }
    return has;
}

/*
 * What opening or reading something of a process met: is it the process that is missing, or all of /proc? Another
 * user's is refused by one error or the other, as /proc is mounted.
 */
static int explain(int error)
{
    if (error == -EPERM) {
        return -EACCES;
    }
    if (error != -ENOENT && error != -ENOTDIR) {
        return error;
    }
    return has_procfs() ? -ESRCH : -ENOSYS;
}

static int open_checked(int folder, const char *path, int flags)
{
    int fd = zm_file_open(folder, path, flags);
    if (fd < 0) {
        return explain(fd);
    }
    if (!is_procfs(fd)) {
        close(fd);
        return -ENOSYS;
    }
    return fd;
}

bool zm_process_is_own(long pid)
{
    return pid == -1 || pid == (long) getpid();
}

int zm_process_open(long pid)
{
    if (zm_process_is_own(pid)) {
        int process = open_checked(AT_FDCWD, "/proc/thread-self", O_PATH | O_DIRECTORY);
        /* Kernels before 3.17 know this process alone. */
        return process == -ESRCH ? open_checked(AT_FDCWD, "/proc/self", O_PATH | O_DIRECTORY) : process;
    }
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld", pid);
    return open_checked(AT_FDCWD, path, O_PATH | O_DIRECTORY);
}

/* A file that isn't there is one that this kernel doesn't have, unless all have gone with the process. */
int zm_process_open_file(int process, const char *file, int flags)
{
    int fd = zm_file_open(process, file, flags);
    if (fd != -ENOENT) {
        return fd >= 0 ? fd : explain(fd);
    }
    return faccessat(process, "stat", F_OK, 0) == 0 ? -ENOSYS : -ESRCH;
}

/* "size resident …", in pages. A zombie, and a process of the kernel's own, have no memory at all: size 0. */
static int parse_statm(const char *text, uint64_t *bytes)
{
    char *after_size;
    char *after_resident;
    unsigned long long size = strtoull(text, &after_size, 10);
    unsigned long long resident = strtoull(after_size, &after_resident, 10);
    if (after_size == text || after_resident == after_size) {
        return -EIO;
    }
    *bytes = (uint64_t) resident * zm_os_page_size();
    return size != 0 ? 0 : -ESRCH;
}

static int read_statm(const char *path, uint64_t *bytes)
{
    int fd = open_checked(AT_FDCWD, path, O_RDONLY);
    if (fd < 0) {
        return fd;
    }
    char text[256];
    long length = zm_file_read_once(fd, text, sizeof(text));
    close(fd);
    return length >= 0 ? parse_statm(text, bytes) : (int) length;
}

int zm_os_rss(long pid, uint64_t *bytes)
{
    if (zm_process_is_own(pid)) {
        /* The shorter path is the quicker one, and fails only where the first thread has ended. */
        int error = read_statm("/proc/self/statm", bytes);
        return error == -ESRCH ? read_statm("/proc/thread-self/statm", bytes) : error;
    }
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/statm", pid);
    return read_statm(path, bytes);
}

/* The fields before the third stand around the process's name, which may hold anything, brackets included. */
static const char *after_name(const char *text)
{
    const char *bracket = strrchr(text, ')');
    return bracket != NULL && bracket[1] == ' ' ? bracket + 2 : NULL;
}

int zm_process_parse_stat(const char *text, int field, long long *value)
{
    const char *number = text;
    if (field != 1) {
        number = after_name(text);
        for (int i = 3; i < field && number != NULL; i++) {
            number = strchr(number, ' ');
            number = number != NULL ? number + 1 : NULL;
        }
    }
    if (field < 1 || number == NULL) {
        return -EINVAL;
    }
    char *end;
    errno = 0;
    *value = strtoll(number, &end, 10);
    if (errno != 0) {
        return -errno;
    }
    return end != number && (*end == ' ' || *end == '\n') ? 0 : -EINVAL;
}

int zm_os_proc_stat(int field, long long *value)
{
    int fd = open_checked(AT_FDCWD, "/proc/self/stat", O_RDONLY);
    if (fd < 0) {
        return fd;
    }
    char text[4096];
    long length = zm_file_read_text(fd, text, sizeof(text));
    close(fd);
    return length >= 0 ? zm_process_parse_stat(text, field, value) : (int) length;
}

static int put_smaps(void *context, const char *piece, size_t length)
{
    return zm_smaps_put(context, piece, length);
}

/*
 * The open file holds on to the memory of the process as it was when it was opened. If the process ends, or runs
 * another program, while the file is read, the text just ends early; but then nothing can be read from its start
 * either.
 */
static int check_smaps(int fd, const struct zm_smaps *smaps)
{
    (void) smaps;
    char first[2];
    long length = lseek(fd, 0, SEEK_SET) == 0 ? zm_file_read_once(fd, first, sizeof(first)) : -errno;
    return length == 0 ? -ESRCH : length < 0 ? (int) length : 0;
}

/*
 * The kernel makes the whole text at the first read, and the memory stays as it is until that is done, even if the
 * process ends meanwhile. So there are whole sums, or there is nothing. To read from the start again would have all
 * page tables walked again.
 */
static int check_rollup(int fd, const struct zm_smaps *smaps)
{
    (void) fd;
    return smaps->in_mapping ? 0 : -ESRCH;
}

/* A file that tells of a process's memory, and whether what was read of it is all. */
struct source {
    const char *file;
    int (*check)(int fd, const struct zm_smaps *smaps);
};

static int read_source(int fd, const struct source *source, zm_mapping_visitor *visit, void *context)
{
    struct zm_smaps smaps;
    zm_smaps_begin(&smaps, visit, context);
    int error = zm_file_read(fd, put_smaps, &smaps);
    if (error == 0) {
        error = source->check(fd, &smaps);
    }
    return error == 0 ? zm_smaps_end(&smaps) : error;
}

static int visit_mappings(long pid, const struct source *source, zm_mapping_visitor *visit, void *context)
{
    int process = zm_process_open(pid);
    if (process < 0) {
        return process;
    }
    int fd = zm_process_open_file(process, source->file, O_RDONLY);
    int error = fd >= 0 ? read_source(fd, source, visit, context) : fd;
    if (fd >= 0) {
        close(fd);
    }
    close(process);
    return error;
}

int zm_os_mappings(long pid, zm_mapping_visitor *visit, void *context)
{
    static const struct source smaps = {"smaps", check_smaps};
    return visit_mappings(pid, &smaps, visit, context);
}

/* The rollup has the fields of a single mapping, which stands for all. */
int zm_os_rollup(long pid, struct zm_fields *sums)
{
    static const struct source rollup = {"smaps_rollup", check_rollup};
    zm_fields_begin(sums);
    return visit_mappings(pid, &rollup, zm_mapping_add_fields, sums);
}
