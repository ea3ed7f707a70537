/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole lines of a text that comes in pieces, whatever the pieces are. */
#ifndef ZM_LINES_H
#define ZM_LINES_H

#include <stddef.h>

/* A path in /proc may be as long as a page. Figures alone are short. */
enum { ZM_LONGEST_LINE = 4096 + 256, ZM_SHORT_LINE = 128 };

/* Told a line, without its newline or a NUL. Not 0: that's enough. */
typedef int zm_line_reader(void *context, const char *line, size_t length);

struct zm_lines {
    zm_line_reader *read;
    void *context;
    size_t length; /* of the line that is not whole yet */
    char *text;    /* that line */
    size_t room;
};

/* Lines are put together in the text, and cut where it has no room for more. */
void zm_lines_begin(struct zm_lines *lines, char *text, size_t room, zm_line_reader *read, void *context);

/* 0, or what the reader returned when it had enough; no more may be put then. A last line without newline is no line.
 */
int zm_lines_put(struct zm_lines *lines, const char *piece, size_t length);

#endif
