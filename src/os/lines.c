/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines out of pieces: each line is put together in one place. */
#include "lines.h"

#include <string.h>

void zm_lines_begin(struct zm_lines *lines, zm_line_reader *read, void *context)
{
    lines->read = read;
    lines->context = context;
    lines->length = 0;
}

static void append(struct zm_lines *lines, const char *piece, size_t length)
{
    size_t room = ZM_LONGEST_LINE - lines->length;
    size_t taken = length < room ? length : room;
    memcpy(lines->text + lines->length, piece, taken);
    lines->length += taken;
}

int zm_lines_put(struct zm_lines *lines, const char *piece, size_t length)
{
    const char *end = piece + length;
    const char *newline;
    while (piece < end && (newline = memchr(piece, '\n', (size_t) (end - piece))) != NULL) {
        append(lines, piece, (size_t) (newline - piece));
        lines->text[lines->length] = '\0';
        int enough = lines->read(lines->context, lines->text, lines->length);
        if (enough != 0) {
            return enough;
        }
        lines->length = 0;
        piece = newline + 1;
    }
    append(lines, piece, (size_t) (end - piece));
    return 0;
}
