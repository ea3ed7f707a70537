/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: the lines of mountinfo, and what a path leads to among the mounts. */
#ifndef ZM_MOUNTS_H
#define ZM_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A part of a line. */
struct zm_word {
    const char *text;
    size_t length;
};

/* What is left of the line up to the separator, or all of it. The line goes on behind the separator. */
struct zm_word zm_word_take(struct zm_word *line, char separator);

bool zm_word_is(struct zm_word word, const char *text);

/* Whether one of the words, with commas between them, is the one looked for. */
bool zm_word_is_among(struct zm_word words, const char *word);

/* A mount of mountinfo: "id parent device root point options … - type source super-options". */
struct zm_mount {
    uint64_t number;
    uint64_t parent;
    struct zm_word root;
    struct zm_word point;
    struct zm_word type;
    struct zm_word super_options;
};
bool zm_mount_split(struct zm_word line, struct zm_mount *mount);

/* The next character of a root or a point, where a blank, a newline or a backslash is "\" and three octal digits. */
unsigned char zm_mount_take_character(struct zm_word *path);

/* A folder in a mount: the mount point, and the path below it, which is "" or begins with a slash. */
struct zm_folder {
    const char *point;
    const char *below;
};

/* 1: its path leads elsewhere, as another mount lies over a part of it; 0: into that mount; or a negative errno. */
int zm_mounts_cover(const char *mountinfo, uint64_t mount, const struct zm_folder *folder);

#endif
