/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines out of pieces: a line that lies in several is put together in one place. */
#include "os/linux/lines.h"

#include <string.h>

void zm_lines_begin(struct zm_lines *lines, char *text, size_t room, zm_line_reader *read, void *context)
{
    *lines = (struct zm_lines){.read = read, .context = context, .text = text, .room = room};
}

static void append(struct zm_lines *lines, const char *piece, size_t length)
{
    size_t room = lines->room - lines->length;
    size_t taken = length < room ? length : room;
    memcpy(lines->text + lines->length, piece, taken);
    lines->length += taken;
}

/* The line that ends where the piece does. */
static int end_line(struct zm_lines *lines, const char *piece, size_t length)
{
    if (lines->length == 0 && length <= lines->room) {
        return lines->read(lines->context, piece, length);
    }
    append(lines, piece, length);
    length = lines->length;
    lines->length = 0;
    return lines->read(lines->context, lines->text, length);
}

int zm_lines_put(struct zm_lines *lines, const char *piece, size_t length)
{
    const char *end = piece + length;
    const char *newline;
    while (piece < end && (newline = memchr(piece, '\n', (size_t) (end - piece))) != NULL) {
        int enough = end_line(lines, piece, (size_t) (newline - piece));
        if (enough != 0) {
            return enough;
        }
        piece = newline + 1;
    }
    append(lines, piece, (size_t) (end - piece));
    return 0;
}
