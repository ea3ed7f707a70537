/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: a file in memory (memfd) in which a process publishes, and those of other processes. */
#include "os/linux/file.h"
#include "os/linux/process.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* By number: C libraries have them late. */
enum { CLOSE_ON_EXEC = 1, CAN_BE_SEALED = 2, NOT_EXECUTABLE = 8 };
enum { ADD_SEALS = 1033, GET_SEALS = 1034 };
enum { SEAL_SEALS = 1, SEAL_SHRINK = 2, SEAL_GROW = 4, SEAL_FUTURE_WRITE = 16 };
enum { KEEPS_SIZE = SEAL_SEALS | SEAL_SHRINK | SEAL_GROW };

static int make_file(const char *name)
{
#ifdef SYS_memfd_create
    /* Before Linux 6.3 nobody knows the last flag, and some systems refuse a file without it. */
    long fd = syscall(SYS_memfd_create, name, CLOSE_ON_EXEC | CAN_BE_SEALED | NOT_EXECUTABLE);
    if (fd < 0 && errno == EINVAL) {
        fd = syscall(SYS_memfd_create, name, CLOSE_ON_EXEC | CAN_BE_SEALED);
    }
    return fd < 0 ? -errno : (int) fd;
#else
    (void) name;
    return -ENOSYS;
#endif
}

/* Programs expect the lowest numbers for what they open. */
static int move_up(int fd)
{
    enum { FIRST = 32 };
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST);
    if (moved < 0) {
        return fd;
    }
    close(fd);
    return moved;
}

/* The seals come last: they say that the content is there. */
static int fill(struct zm_os_page *page, const void *content)
{
    struct stat status;
    if (fchmod(page->descriptor, S_IRUSR) != 0 || ftruncate(page->descriptor, (off_t) page->bytes) != 0 ||
        fstat(page->descriptor, &status) != 0) {
        return -errno;
    }
    page->device = (uint64_t) status.st_dev;
    page->inode = (uint64_t) status.st_ino;
    void *memory = mmap(NULL, page->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, page->descriptor, 0);
    if (memory == MAP_FAILED) {
        return -errno;
    }
    page->memory = memory;
    memcpy(memory, content, page->bytes);
    bool sealed = fcntl(page->descriptor, ADD_SEALS, KEEPS_SIZE | SEAL_FUTURE_WRITE) == 0 ||
                  fcntl(page->descriptor, ADD_SEALS, KEEPS_SIZE) == 0;
    return sealed ? 0 : -errno;
}

int zm_os_page_make(const char *name, const void *content, size_t bytes, struct zm_os_page *page)
{
    *page = (struct zm_os_page){.bytes = bytes, .descriptor = make_file(name), .user = (uint32_t) geteuid()};
    if (page->descriptor < 0) {
        return page->descriptor;
    }
    page->descriptor = move_up(page->descriptor);
    int error = fill(page, content);
    if (error != 0) {
        close(page->descriptor);
        page->descriptor = -1;
        zm_os_page_drop(page);
    }
    return error;
}

static bool has_descriptor(const struct zm_os_page *page)
{
    struct stat status;
    return page->descriptor >= 0 && fstat(page->descriptor, &status) == 0 &&
           (uint64_t) status.st_dev == page->device && (uint64_t) status.st_ino == page->inode;
}

bool zm_os_page_can_be_found(const struct zm_os_page *page)
{
    return page->memory != NULL && has_descriptor(page) && page->user == (uint32_t) geteuid();
}

void zm_os_page_drop(struct zm_os_page *page)
{
    void *memory = page->memory;
    int descriptor = has_descriptor(page) ? page->descriptor : -1;
    page->memory = NULL;
    page->descriptor = -1;
    if (memory != NULL) {
        munmap(memory, page->bytes);
    }
    if (descriptor >= 0) {
        close(descriptor);
    }
}

/* The process, from the lines of its status. */
struct identity {
    uint64_t number; /* the last: its own; the others are what those outside of its container see */
    uint64_t users[4];
    unsigned count;
};

static unsigned read_numbers(const char *text, uint64_t *numbers, unsigned most)
{
    unsigned count = 0;
    char *end;
    for (const char *from = text;; from = end) {
        uint64_t number = strtoull(from, &end, 10);
        if (end == from) {
            return count;
        }
        numbers[count < most ? count++ : most - 1] = number;
    }
}

static const char *after(const char *line, size_t length, const char *name)
{
    size_t end = strlen(name);
    return length > end && memcmp(line, name, end) == 0 ? line + end : NULL;
}

static int read_status(void *context, const char *line, size_t length)
{
    struct identity *identity = context;
    char text[ZM_SHORT_LINE];
    if (length >= sizeof(text)) {
        return 0;
    }
    memcpy(text, line, length);
    text[length] = '\0';
    const char *numbers = after(text, length, "Uid:");
    if (numbers != NULL) {
        identity->count = read_numbers(numbers, identity->users, 4);
    }
    numbers = after(text, length, "NStgid:");
    if (numbers != NULL) {
        read_numbers(numbers, &identity->number, 1);
    }
    return 0;
}

static int read_start(int process, uint64_t *start)
{
    char text[1024];
    long length = zm_file_read_text_of(process, "stat", text, sizeof(text));
    long long value = 0;
    int error = length >= 0 ? zm_process_parse_stat(text, 22, &value) : (int) length;
    *start = (uint64_t) value;
    return error;
}

/* This process's folder is that of its thread, which started later. */
static int identify(int process, long pid, struct identity *identity, uint64_t *start)
{
    *identity = (struct identity){.number = (uint64_t) (pid == -1 ? (long) getpid() : pid)};
    int error = zm_file_read_short_lines(process, "status", read_status, identity);
    if (error != 0) {
        return error == -ENOENT ? -ESRCH : error;
    }
    if (!zm_process_is_own(pid)) {
        error = read_start(process, start);
        return error == -ENOENT ? -ESRCH : error;
    }
    long long value = 0;
    error = zm_os_proc_stat(22, &value);
    *start = (uint64_t) value;
    return error;
}

static bool is_of_user(const struct identity *identity, uint64_t user)
{
    bool is = user == 0;
    for (unsigned i = 0; i < identity->count; i++) {
        is = is || identity->users[i] == user;
    }
    return is;
}

struct search {
    int process;
    int folder;
    long pid;
    char link[64];
    struct identity identity; /* read for the first page: most processes have none */
    bool is_identified;
    uint64_t start;
    zm_os_page_visitor *visit;
    void *context;
};

static int visit_open(struct search *search, int fd, int place)
{
    struct stat status;
    int error = search->is_identified ? 0 : identify(search->process, search->pid, &search->identity, &search->start);
    if (error != 0) {
        return error;
    }
    search->is_identified = true;
    if (fstat(fd, &status) != 0) {
        return -errno;
    }
    int seals = fcntl(fd, GET_SEALS);
    struct zm_os_found_page page = {
        .descriptor = fd,
        .place = place,
        .bytes = S_ISREG(status.st_mode) && status.st_size > 0 ? (uint64_t) status.st_size : 0,
        .keeps_size = seals >= 0 && (seals & KEEPS_SIZE) == KEEPS_SIZE,
        .is_of_user = is_of_user(&search->identity, (uint64_t) status.st_uid),
        .number = search->identity.number,
        .start = search->start,
    };
    return search->visit(&page, search->context);
}

/* What is behind the link may change until it is opened; nothing is waited for there. */
static int visit_link(struct search *search, const char *name)
{
    char link[sizeof(search->link)];
    ssize_t length = readlinkat(search->folder, name, link, sizeof(link));
    if (length != (ssize_t) strlen(search->link) || memcmp(link, search->link, (size_t) length) != 0) {
        return 0;
    }
    int fd = zm_file_open(search->folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return fd == -ENOENT ? 0 : fd == -EACCES ? -EPERM : fd;
    }
    int enough = visit_open(search, fd, (int) strtol(name, NULL, 10));
    close(fd);
    return enough;
}

static int visit_links(struct search *search)
{
    /* As the kernel writes an entry; the C library's readers of folders allocate. */
    enum { BYTES_AT = 16, NAME_AT = 19 };
    _Alignas(uint64_t) char entries[4096];
    int refused = 0;
    long length;
    while ((length = syscall(SYS_getdents64, search->folder, entries, sizeof(entries))) > 0) {
        uint16_t bytes;
        for (long at = 0; at < length; at += bytes) {
            memcpy(&bytes, &entries[at + BYTES_AT], sizeof(bytes));
            const char *name = &entries[at + NAME_AT];
            int enough = name[0] != '.' ? visit_link(search, name) : 0;
            if (enough != 0 && enough != -EPERM) {
                return enough;
            }
            refused = enough != 0 ? enough : refused;
        }
    }
    return length == 0 ? refused : -errno;
}

static int visit_place(struct search *search, int place)
{
    char name[16];
    snprintf(name, sizeof(name), "%d", place);
    return visit_link(search, name);
}

int zm_os_find_pages(long pid, const char *name, int place, zm_os_page_visitor *visit, void *context)
{
    struct search search = {.process = zm_process_open(pid), .pid = pid, .visit = visit, .context = context};
    if (search.process < 0) {
        return search.process;
    }
    snprintf(search.link, sizeof(search.link), "/memfd:%s (deleted)", name);
    search.folder = zm_process_open_file(search.process, "fd", O_RDONLY | O_DIRECTORY);
    int error = search.folder;
    if (search.folder >= 0) {
        error = place >= 0 ? visit_place(&search, place) : visit_links(&search);
        close(search.folder);
    }
    close(search.process);
    return error;
}

int zm_os_page_read(const struct zm_os_found_page *page, size_t offset, void *to, size_t bytes)
{
    ssize_t length;
    do {
        length = pread(page->descriptor, to, bytes, (off_t) offset);
    } while (length < 0 && errno == EINTR);
    __sync_synchronize();
    return length == (ssize_t) bytes ? 0 : length < 0 ? -errno : -EBADMSG;
}
