/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading the kernel's text files. */
#include "os/linux/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int zm_file_open(int folder, const char *path, int flags)
{
    int fd;
    do {
        fd = openat(folder, path, flags | O_CLOEXEC);
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

int zm_file_read(int fd, zm_piece_taker *take, void *context)
{
    /*
     * The kernel makes records until there is enough for the reader or the next one does not fit into a page; that
     * one it throws away and makes again. Of smaps, whose records have some 800 bytes, that would be every sixth.
     */
    char piece[3072];
    ssize_t length;
    while ((length = read_some(fd, piece, sizeof(piece))) > 0) {
        int enough = take(context, piece, (size_t) length);
        if (enough != 0) {
            return enough;
        }
    }
    return (int) length;
}

long zm_file_read_text(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got = 1;
    while (got > 0 && length < size - 1) {
        got = read_some(fd, text + length, size - 1 - length);
        length += got > 0 ? (size_t) got : 0;
    }
    text[length] = '\0';
    return got < 0 ? (long) got : (long) length;
}

long zm_file_read_once(int fd, char *text, size_t size)
{
    ssize_t length = read_some(fd, text, size - 1);
    text[length > 0 ? length : 0] = '\0';
    return (long) length;
}

static int put_lines(void *context, const char *piece, size_t length)
{
    return zm_lines_put(context, piece, length);
}

static int read_lines(int folder, const char *path, struct zm_lines *lines)
{
    int fd = zm_file_open(folder, path, O_RDONLY);
    if (fd < 0) {
        return fd;
    }
    int error = zm_file_read(fd, put_lines, lines);
    close(fd);
    return error;
}

int zm_file_read_lines(int folder, const char *path, zm_line_reader *read_line, void *context)
{
    char text[ZM_LONGEST_LINE];
    struct zm_lines lines;
    zm_lines_begin(&lines, text, sizeof(text), read_line, context);
    return read_lines(folder, path, &lines);
}

int zm_file_read_short_lines(int folder, const char *path, zm_line_reader *read_line, void *context)
{
    char text[ZM_SHORT_LINE];
    struct zm_lines lines;
    zm_lines_begin(&lines, text, sizeof(text), read_line, context);
    return read_lines(folder, path, &lines);
}

long zm_file_read_text_of(int folder, const char *path, char *text, size_t size)
{
    int fd = zm_file_open(folder, path, O_RDONLY);
    if (fd < 0) {
        return fd;
    }
    long length = zm_file_read_text(fd, text, size);
    close(fd);
    return length;
}
