/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: the lines of mountinfo, and what a path leads to among the mounts. */
#include "os/linux/mounts.h"

#include "os/linux/file.h"

#include <fcntl.h>
#include <string.h>

/* A line's reader has enough. */
enum { FOUND = 1 };

struct zm_word zm_word_take(struct zm_word *line, char separator)
{
    const char *end = line->length > 0 ? memchr(line->text, separator, line->length) : NULL;
    struct zm_word word = {line->text, end != NULL ? (size_t) (end - line->text) : line->length};
    size_t taken = word.length + (end != NULL);
    line->text += taken;
    line->length -= taken;
    return word;
}

bool zm_word_is(struct zm_word word, const char *text)
{
    return word.length == strlen(text) && memcmp(word.text, text, word.length) == 0;
}

bool zm_word_is_among(struct zm_word words, const char *word)
{
    while (words.length > 0) {
        if (zm_word_is(zm_word_take(&words, ','), word)) {
            return true;
        }
    }
    return false;
}

static uint64_t take_number(struct zm_word *line)
{
    uint64_t number = 0;
    struct zm_word digits = zm_word_take(line, ' ');
    for (size_t i = 0; i < digits.length; i++) {
        number = number * 10 + (unsigned char) digits.text[i] - '0';
    }
    return number;
}

/* The words have one blank between them, and the source may be empty. */
bool zm_mount_split(struct zm_word line, struct zm_mount *mount)
{
    mount->number = take_number(&line);
    mount->parent = take_number(&line);
    zm_word_take(&line, ' ');
    mount->root = zm_word_take(&line, ' ');
    mount->point = zm_word_take(&line, ' ');
    while (line.length > 0 && !zm_word_is(zm_word_take(&line, ' '), "-")) {
    }
    mount->type = zm_word_take(&line, ' ');
    zm_word_take(&line, ' ');
    mount->super_options = line;
    return line.length > 0;
}

static bool is_octal(char character)
{
    return character >= '0' && character <= '7';
}

unsigned char zm_mount_take_character(struct zm_word *path)
{
    const char *text = path->text;
    bool escaped = path->length > 3 && text[0] == '\\' && is_octal(text[1]) && is_octal(text[2]) && is_octal(text[3]);
    int code = escaped ? (text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0') : 0;
    bool is_code = (unsigned char) code != 0;
    size_t taken = is_code ? 4 : 1;
    path->text += taken;
    path->length -= taken;
    return is_code ? (unsigned char) code : (unsigned char) text[0];
}

static size_t length_of(struct zm_word path)
{
    size_t length = 0;
    for (; path.length > 0; length++) {
        zm_mount_take_character(&path);
    }
    return length;
}

/*
 * The mounts that the path passes, from the folder's own upwards, and how much of the path leads to the mount point
 * where it leaves each for the next. A path with more of them is not looked at further up.
 */
enum { MOST_LEVELS = 32 };

struct level {
    uint64_t mount;
    size_t left_at;
};

struct way {
    const struct zm_folder *folder;
    size_t count;
    struct level levels[MOST_LEVELS];
    bool has_met_own; /* the line of the folder's mount */
};

/* Adds the level above the last one. Paths begin at the root, so above that there is none. */
static int climb(void *context, const char *text, size_t length)
{
    struct way *way = context;
    struct zm_mount mount;
    if (!zm_mount_split((struct zm_word){text, length}, &mount) ||
        mount.number != way->levels[way->count - 1].mount) {
        return 0;
    }
    if (!zm_word_is(mount.point, "/") && way->count < MOST_LEVELS) {
        way->levels[way->count++] = (struct level){mount.parent, length_of(mount.point)};
    }
    return FOUND;
}

static int climb_all(const char *mountinfo, struct way *way)
{
    size_t before;
    int error;
    do {
        before = way->count;
        error = zm_file_read_lines(AT_FDCWD, mountinfo, climb, way);
    } while (error == FOUND && way->count > before);
    return error < 0 ? error : 0;
}

/* Whether the path is that of a folder on the way to this one, or of this one itself. */
static bool is_on_the_way(struct zm_word path, const struct zm_folder *folder)
{
    const char *at = folder->point;
    const char *below = folder->below;
    while (path.length > 0) {
        if (*at == '\0' && below != NULL) {
            at = below;
            below = NULL;
        } else if (*at == '\0' || zm_mount_take_character(&path) != (unsigned char) *at++) {
            return false;
        }
    }
    return *at == '/' || *at == '\0';
}

/*
 * Whether the path meets this mount in a mount that it passes, no later than the one for which it would leave that:
 * of two at one place, the kernel takes the later one.
 */
static bool is_met_first(const struct way *way, const struct zm_mount *mount)
{
    size_t at = length_of(mount->point);
    for (size_t i = 0; i < way->count; i++) {
        const struct level *level = &way->levels[i];
        bool is_next = i > 0 && mount->number == way->levels[i - 1].mount;
        if (mount->parent == level->mount && !is_next) {
            return at < level->left_at || (at == level->left_at && way->has_met_own);
        }
    }
    return false;
}

/* Over its own root a process still sees what was there. */
static int find_cover(void *context, const char *text, size_t length)
{
    struct way *way = context;
    struct zm_mount mount;
    if (!zm_mount_split((struct zm_word){text, length}, &mount)) {
        return 0;
    }
    way->has_met_own |= mount.number == way->folder->mount;
    bool covers = is_on_the_way(mount.point, way->folder) && is_met_first(way, &mount);
    return covers && !zm_word_is(mount.point, "/") ? FOUND : 0;
}

int zm_mounts_cover(const char *mountinfo, const struct zm_folder *folder)
{
    struct way way = {.folder = folder, .count = 2};
    way.levels[0] = (struct level){folder->mount, SIZE_MAX};
    way.levels[1] = (struct level){folder->parent, strlen(folder->point)};
    int error = climb_all(mountinfo, &way);
    return error == 0 ? zm_file_read_lines(AT_FDCWD, mountinfo, find_cover, &way) : error;
}
