/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: the lines of mountinfo, and what a path leads to among the mounts. */
#include "os/linux/mounts.h"

#include "os/linux/file.h"

#include <fcntl.h>
#include <string.h>

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
 * All mounts whose point is on the way, in the order of the lines: those that the path passes are among them, and so
 * are those that cover it. Over its own root a process still sees what was there.
 */
enum { MOST_ON_THE_WAY = 64 };

struct met {
    uint64_t mount;
    uint64_t parent;
    size_t at; /* this length of the path */
};

struct way {
    const struct zm_folder *folder;
    size_t count;
    struct met mounts[MOST_ON_THE_WAY];
};

static int note_if_on_the_way(void *context, const char *text, size_t length)
{
    struct way *way = context;
    struct zm_mount mount;
    if (zm_mount_split((struct zm_word){text, length}, &mount) && !zm_word_is(mount.point, "/") &&
        is_on_the_way(mount.point, way->folder) && way->count < MOST_ON_THE_WAY) {
        way->mounts[way->count++] = (struct met){mount.number, mount.parent, length_of(mount.point)};
    }
    return 0;
}

static size_t find(const struct way *way, uint64_t mount)
{
    size_t i = 0;
    while (i < way->count && way->mounts[i].mount != mount) {
        i++;
    }
    return i;
}

/* Whether the path meets another mount first in the one that this is mounted in: of two at one place, the later. */
static bool is_met_later(const struct way *way, size_t index)
{
    const struct met *mount = &way->mounts[index];
    for (size_t i = 0; i < way->count; i++) {
        const struct met *other = &way->mounts[i];
        bool is_first = other->at < mount->at || (other->at == mount->at && i > index);
        if (other->parent == mount->parent && is_first) {
            return true;
        }
    }
    return false;
}

static bool has_mount_in(const struct way *way, uint64_t parent)
{
    for (size_t i = 0; i < way->count; i++) {
        if (way->mounts[i].parent == parent && way->mounts[i].mount != parent) {
            return true;
        }
    }
    return false;
}

/* From the mount upwards, through no more than there are. */
int zm_mounts_cover(const char *mountinfo, uint64_t mount, const struct zm_folder *folder)
{
    struct way way = {.folder = folder};
    int error = zm_file_read_lines(AT_FDCWD, mountinfo, note_if_on_the_way, &way);
    bool covers = has_mount_in(&way, mount);
    for (size_t i = find(&way, mount), passed = 0; i < way.count && passed < way.count && !covers; passed++) {
        covers = is_met_later(&way, i);
        i = find(&way, way.mounts[i].parent);
    }
    return error == 0 ? covers : error;
}
