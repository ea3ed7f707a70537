/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: the kernel's text files, read with plain system calls, without allocation. */
#ifndef ZM_FILE_H
#define ZM_FILE_H

#include "os/linux/lines.h"

/* A descriptor, or a negative errno. The folder may be AT_FDCWD. */
int zm_file_open(int folder, const char *path, int flags);

/* Hands the rest of the file over in pieces; 0, a negative errno, or what the taker returned when it had enough. */
typedef int zm_piece_taker(void *context, const char *piece, size_t length);
int zm_file_read(int fd, zm_piece_taker *take, void *context);

/* Reads what fits, as a string; returns its length or a negative errno. Once is enough for a few numbers. */
long zm_file_read_text(int fd, char *text, size_t size);
long zm_file_read_once(int fd, char *text, size_t size);

/* Opens, reads and closes. Short lines need less of the stack, within a reader of lines. */
int zm_file_read_lines(int folder, const char *path, zm_line_reader *read, void *context);
int zm_file_read_short_lines(int folder, const char *path, zm_line_reader *read, void *context);
long zm_file_read_text_of(int folder, const char *path, char *text, size_t size);

#endif
