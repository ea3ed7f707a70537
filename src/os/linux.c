/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: /proc, read with plain system calls into fixed buffers. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LONGEST_PATH = 64, CHUNK = 4096 };

static int open_proc(long pid, const char *file)
{
    char path[LONGEST_PATH];
    if (pid == -1) {
        snprintf(path, sizeof(path), "/proc/self/%s", file);
    } else {
        snprintf(path, sizeof(path), "/proc/%ld/%s", pid, file);
    }
    int fd;
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

/* Bytes read, 0 at the end, or a negative errno. */
static ssize_t read_some(int fd, char *buffer, size_t size)
{
    ssize_t length;
    do {
        length = read(fd, buffer, size);
    } while (length < 0 && errno == EINTR);
    return length < 0 ? -errno : length;
}

/* Reads a small file of this process whole, as a string. */
static int read_own(const char *file, char *text, size_t size)
{
    int fd = open_proc(-1, file);
    if (fd < 0) {
        return fd;
    }
    size_t length = 0;
    ssize_t got = 1;
    while (got > 0 && length < size - 1) {
        got = read_some(fd, text + length, size - 1 - length);
        length += got > 0 ? (size_t) got : 0;
    }
    close(fd);
    text[length] = '\0';
    return got < 0 ? (int) got : 0;
}

int zm_os_rss(size_t *bytes)
{
    char text[CHUNK];
    int error = read_own("statm", text, sizeof(text));
    if (error != 0) {
        return error;
    }
    unsigned long size;
    unsigned long resident;
    if (sscanf(text, "%lu %lu", &size, &resident) != 2) {
        return -EIO;
    }
    *bytes = (size_t) resident * zm_os_page_size();
    return 0;
}

int zm_os_memory_size(size_t *bytes)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    if (pages <= 0) {
        return -ENOSYS;
    }
    /* A 32-bit process may run on a machine with more memory than it can count. */
    if ((size_t) pages > SIZE_MAX / zm_os_page_size()) {
        return -EOVERFLOW;
    }
    *bytes = (size_t) pages * zm_os_page_size();
    return 0;
}

/* The fields before the third stand around the process's name, which may hold anything, brackets included. */
static const char *after_name(const char *text)
{
    const char *bracket = strrchr(text, ')');
    return bracket != NULL && bracket[1] == ' ' ? bracket + 2 : NULL;
}

int zm_os_proc_stat(int field, long long *value)
{
    char text[CHUNK];
    int error = read_own("stat", text, sizeof(text));
    if (error != 0) {
        return error;
    }
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

/*
 * A sum over the lines "name:   <number> kB" of a text that comes in pieces. Only a line's very start is looked
 * at: the name of a mapped file, further on, may say anything.
 */
struct field_sum {
    const char *name;
    size_t name_length;
    enum { IN_NAME, BEFORE_NUMBER, IN_NUMBER, IN_UNIT, IN_REST } place;
    size_t matched; /* of the name, or of the unit */
    uint64_t number;
    uint64_t total;
    bool found;
    bool overflow;
    bool any_text;
};

static const char unit[] = " kB\n";

static void add_number(struct field_sum *sum)
{
    sum->found = true;
    if (sum->number > (UINT64_MAX - sum->total) / 1024) {
        sum->overflow = true;
    } else {
        sum->total += sum->number * 1024;
    }
}

static void put_digit(struct field_sum *sum, char digit)
{
    unsigned value = (unsigned) (digit - '0');
    if (sum->number > (UINT64_MAX - value) / 10) {
        sum->overflow = true;
    } else {
        sum->number = sum->number * 10 + value;
    }
}

static void put_character(struct field_sum *sum, char c)
{
    switch (sum->place) {
    case IN_NAME:
        if (sum->matched < sum->name_length && c == sum->name[sum->matched]) {
            sum->matched++;
            return;
        }
        sum->place = sum->matched == sum->name_length && c == ':' ? BEFORE_NUMBER : IN_REST;
        break;
    case BEFORE_NUMBER:
        if (c >= '0' && c <= '9') {
            sum->number = 0;
            put_digit(sum, c);
            sum->place = IN_NUMBER;
        } else if (c != ' ' && c != '\t') {
            sum->place = IN_REST;
        }
        break;
    case IN_NUMBER:
        if (c >= '0' && c <= '9') {
            put_digit(sum, c);
            return;
        }
        sum->matched = c == unit[0] ? 1 : 0;
        sum->place = sum->matched == 1 ? IN_UNIT : IN_REST;
        break;
    case IN_UNIT:
        if (c != unit[sum->matched]) {
            sum->place = IN_REST;
        } else if (unit[++sum->matched] == '\0') {
            add_number(sum);
        }
        break;
    case IN_REST:
        break;
    }
    if (c == '\n') {
        sum->place = IN_NAME;
        sum->matched = 0;
    }
}

static int sum_file(struct field_sum *sum, long pid, const char *file)
{
    int fd = open_proc(pid, file);
    if (fd < 0) {
        return fd;
    }
    char buffer[CHUNK];
    ssize_t length;
    while ((length = read_some(fd, buffer, sizeof(buffer))) > 0) {
        sum->any_text = true;
        for (ssize_t i = 0; i < length; i++) {
            put_character(sum, buffer[i]);
        }
    }
    close(fd);
    if (length < 0) {
        return (int) length;
    }
    if (!sum->any_text) {
        return -ESRCH; /* a zombie, or one of the kernel's own processes */
    }
    if (sum->overflow || sum->total > SIZE_MAX) {
        return -EOVERFLOW;
    }
    return sum->found ? 0 : -ENOENT;
}

static bool exists(long pid)
{
    int fd = open_proc(pid, "stat");
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* The rollup costs a tenth, but is missing on old kernels and lacks some fields. */
int zm_os_smaps_field(const char *name, size_t name_length, long pid, size_t *bytes)
{
    static const char *const files[] = {"smaps_rollup", "smaps"};
    int error = -ENOENT;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && error != 0; i++) {
        struct field_sum sum = {.name = name, .name_length = name_length};
        error = sum_file(&sum, pid, files[i]);
        *bytes = (size_t) sum.total;
    }
    return error == -ENOENT && !exists(pid) ? -ESRCH : error;
}

int zm_os_private_dirty(long pid, size_t *bytes)
{
    static const char name[] = "Private_Dirty";
    return zm_os_smaps_field(name, sizeof(name) - 1, pid, bytes);
}

void *zm_os_map(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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

void zm_os_discard(void *pages, size_t bytes)
{
    madvise(pages, bytes, MADV_DONTNEED);
}
