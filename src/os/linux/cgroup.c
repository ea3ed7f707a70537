/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: the memory limits of the control groups that this process is in, as far up as they can be seen. */
#include "os/linux/file.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Paths that are longer can't be opened. */
enum { LONGEST_PATH = 4096 };

/* A line's reader has enough. */
enum { FOUND = 1 };

/*
 * Version 1 has a tree of groups for each controller, version 2 one tree for all. Where both are mounted, memory
 * belongs to one of them: to version 1's, if it is named there.
 */
struct group {
    int version;             /* 0: in none */
    char path[LONGEST_PATH]; /* in its tree */
};

/* Where a mount has the group: the mount point, and the group's path below it, which is "" or begins with a slash. */
struct place {
    const char *below;
    char point[LONGEST_PATH];
};

/*
 * A tree may be mounted in several places, whole or in part. Some can't be reached: another mount lies over them, or
 * the folder is closed. All that can be are asked, as each may show other groups above this one.
 */
struct search {
    const struct group *group;
    struct place place;    /* that was asked last */
    uint64_t mount;        /* its number, */
    uint64_t parent;       /* and that of the mount that it is mounted in */
    int error;             /* 0: bytes is the least limit of those that were reached */
    int error_before;      /* before the last place was asked, */
    uint64_t bytes_before; /* in case that another mount lies over it */
    uint64_t bytes;
};

/* A part of a line. */
struct word {
    const char *text;
    size_t length;
};

/* What is left of the line up to the separator, or all of it. The line goes on behind the separator. */
static struct word take_word(struct word *line, char separator)
{
    const char *end = line->length > 0 ? memchr(line->text, separator, line->length) : NULL;
    struct word word = {line->text, end != NULL ? (size_t) (end - line->text) : line->length};
    size_t taken = word.length + (end != NULL);
    line->text += taken;
    line->length -= taken;
    return word;
}

static bool is_word(struct word word, const char *text)
{
    return word.length == strlen(text) && memcmp(word.text, text, word.length) == 0;
}

/* Whether one of the words, with commas between them, is the one looked for. */
static bool has_word(struct word words, const char *word)
{
    while (words.length > 0) {
        if (is_word(take_word(&words, ','), word)) {
            return true;
        }
    }
    return false;
}

/* "number:controllers:path" of /proc/self/cgroup; version 2's is "0::path". Other controllers' paths don't matter. */
static int read_group(void *context, const char *text, size_t length)
{
    struct group *group = context;
    struct word line = {text, length};
    struct word number = take_word(&line, ':');
    struct word controllers = take_word(&line, ':');
    bool has_path = controllers.text + controllers.length < text + length;
    bool second = is_word(number, "0") && controllers.length == 0;
    if (!has_path || !(has_word(controllers, "memory") || (second && group->version == 0))) {
        return 0;
    }
    if (line.length >= LONGEST_PATH) {
        return -ENAMETOOLONG;
    }
    group->version = second ? 2 : 1;
    memcpy(group->path, line.text, line.length);
    group->path[line.length] = '\0';
    return 0;
}

static bool is_octal(char character)
{
    return character >= '0' && character <= '7';
}

/* The next character of a path in mountinfo, where a blank, a newline or a backslash is "\" and three octal digits.
 */
static unsigned char take_character(struct word *path)
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

static bool copy_path(char copy[LONGEST_PATH], struct word path)
{
    size_t length = 0;
    while (path.length > 0 && length < LONGEST_PATH - 1) {
        ((unsigned char *) copy)[length++] = take_character(&path);
    }
    copy[length] = '\0';
    return path.length == 0;
}

static bool is_path(struct word path, const char *text)
{
    while (path.length > 0 && *text != '\0') {
        if (take_character(&path) != (unsigned char) *text++) {
            return false;
        }
    }
    return path.length == 0 && *text == '\0';
}

/* Whether a part of the path is "..". A group's name may begin so. */
static bool leads_up(const char *path)
{
    while ((path = strstr(path, "/..")) != NULL) {
        path += strlen("/..");
        if (*path == '/' || *path == '\0') {
            return true;
        }
    }
    return false;
}

/* The group's path below what is mounted, or NULL if it is elsewhere: seen from another namespace it may be. */
static const char *path_below(const struct group *group, struct word root)
{
    const char *below = group->path;
    root.length = is_word(root, "/") ? 0 : root.length;
    while (root.length > 0) {
        if (*below == '\0' || take_character(&root) != (unsigned char) *below++) {
            return NULL;
        }
    }
    if ((*below != '/' && *below != '\0') || leads_up(below)) {
        return NULL;
    }
    return strcmp(below, "/") != 0 ? below : "";
}

/* A mount of mountinfo: "id parent device root point options … - type source super-options". */
struct mount {
    uint64_t number;
    uint64_t parent;
    struct word root;
    struct word point;
    struct word type;
    struct word super_options;
};

static uint64_t take_number(struct word *line)
{
    uint64_t number = 0;
    struct word digits = take_word(line, ' ');
    for (size_t i = 0; i < digits.length; i++) {
        number = number * 10 + (unsigned char) digits.text[i] - '0';
    }
    return number;
}

/* The words have one blank between them, and the source may be empty. */
static bool split_mount(struct word line, struct mount *mount)
{
    mount->number = take_number(&line);
    mount->parent = take_number(&line);
    take_word(&line, ' ');
    mount->root = take_word(&line, ' ');
    mount->point = take_word(&line, ' ');
    while (line.length > 0 && !is_word(take_word(&line, ' '), "-")) {
    }
    mount->type = take_word(&line, ' ');
    take_word(&line, ' ');
    mount->super_options = line;
    return line.length > 0;
}

/* Whether it is of the group's tree, and the group lies in what is mounted. */
static bool find_place(const struct group *group, const struct mount *mount, struct place *place)
{
    bool is_tree = group->version == 2 ? is_word(mount->type, "cgroup2")
                                       : is_word(mount->type, "cgroup") && has_word(mount->super_options, "memory");
    const char *below = is_tree ? path_below(group, mount->root) : NULL;
    if (below == NULL) {
        return false;
    }
    place->below = below;
    return copy_path(place->point, mount->point);
}

/* A number, or "max". Version 1 says "none" by a number that no memory reaches. */
static int parse_limit(const char *text, uint64_t *bytes)
{
    enum { BITS_OF_NONE = 62 };
    bool is_number = *text >= '0' && *text <= '9';
    if (!is_number && strncmp(text, "max", 3) != 0) {
        return -EIO;
    }
    uint64_t limit = is_number ? strtoull(text, NULL, 10) : UINT64_MAX;
    *bytes = limit >> BITS_OF_NONE == 0 ? limit : UINT64_MAX;
    return 0;
}

static int read_hierarchical_limit(void *context, const char *line, size_t length)
{
    static const char name[] = "hierarchical_memory_limit ";
    char number[64];
    size_t digits = length - (sizeof(name) - 1);
    if (length < sizeof(name) - 1 || memcmp(line, name, sizeof(name) - 1) != 0 || digits >= sizeof(number)) {
        return 0;
    }
    memcpy(number, line + sizeof(name) - 1, digits);
    number[digits] = '\0';
    int error = parse_limit(number, context);
    return error != 0 ? error : FOUND;
}

static int read_own_limit(int folder, const char *name, uint64_t *bytes)
{
    char text[64];
    long length = zm_file_read_text_of(folder, name, text, sizeof(text));
    return length < 0 ? (int) length : parse_limit(text, bytes);
}

/*
 * The least of the limits of the group and of those above it, as many levels as the mount has. Version 2's groups
 * without the file have no limit of their own: the tree's root, and those where the controller is off. A level that
 * can't be read may have the least.
 */
static int read_limits_up(int version, int *folder, const char *below, uint64_t *bytes)
{
    const char *name = version == 2 ? "memory.max" : "memory.limit_in_bytes";
    bool is_group = faccessat(*folder, "cgroup.procs", F_OK, 0) == 0;
    *bytes = UINT64_MAX;
    for (const char *level = below;; level++) {
        uint64_t limit = UINT64_MAX;
        int error = read_own_limit(*folder, name, &limit);
        if (error != 0 && (error != -ENOENT || version != 2)) {
            return error;
        }
        is_group |= error == 0;
        *bytes = limit < *bytes ? limit : *bytes;
        level = strchr(level, '/');
        if (level == NULL) {
            return is_group ? 0 : -ENOENT;
        }
        int above = zm_file_open(*folder, "..", O_PATH | O_DIRECTORY);
        if (above < 0) {
            return above;
        }
        close(*folder);
        *folder = above;
    }
}

/* Version 1's kernel knows the least limit up the tree itself, beyond what is mounted too; others may not tell. */
static int read_limits_of(int version, int *folder, const char *below, uint64_t *bytes)
{
    int found = version == 1 ? zm_file_read_short_lines(*folder, "memory.stat", read_hierarchical_limit, bytes) : 0;
    return found == FOUND ? 0 : read_limits_up(version, folder, below, bytes);
}

static int limit_in(int version, const struct place *place, uint64_t *bytes)
{
    int folder = zm_file_open(AT_FDCWD, place->point, O_PATH | O_DIRECTORY);
    if (folder >= 0 && place->below[0] != '\0') {
        int group = zm_file_open(folder, place->below + 1, O_PATH | O_DIRECTORY);
        close(folder);
        folder = group;
    }
    if (folder < 0) {
        return folder;
    }
    int error = read_limits_of(version, &folder, place->below, bytes);
    close(folder);
    return error;
}

/* Whether the path is that of a folder on the way to the place, or of the place itself. */
static bool is_on_the_way(struct word path, const struct place *place)
{
    const char *at = place->point;
    const char *below = place->below;
    while (path.length > 0) {
        if (*at == '\0' && below != NULL) {
            at = below;
            below = NULL;
        } else if (*at == '\0' || take_character(&path) != (unsigned char) *at++) {
            return false;
        }
    }
    return *at == '/' || *at == '\0';
}

/*
 * Whether another mount lies over the place that was asked last: at the same point, or at a folder above it in the
 * mount that both are mounted in, or at one below it. Over its own root a process still sees what was there.
 */
static bool is_covered_by(const struct search *search, const struct mount *mount)
{
    if (is_path(mount->point, search->place.point)) {
        return true;
    }
    bool is_near = mount->parent == search->mount || mount->parent == search->parent;
    return is_near && !is_word(mount->point, "/") && is_on_the_way(mount->point, &search->place);
}

/* Asks each place in turn. What lies under a later mount was not the place that it was taken for. */
static int read_mount(void *context, const char *text, size_t length)
{
    struct search *search = context;
    struct mount mount;
    if (!split_mount((struct word){text, length}, &mount)) {
        return 0;
    }
    if (is_covered_by(search, &mount)) {
        search->error = search->error_before;
        search->bytes = search->bytes_before;
    }
    if (!find_place(search->group, &mount, &search->place)) {
        return 0;
    }
    search->mount = mount.number;
    search->parent = mount.parent;
    search->error_before = search->error;
    search->bytes_before = search->bytes;
    uint64_t bytes;
    int error = limit_in(search->group->version, &search->place, &bytes);
    if (error != 0) {
        search->error = search->error == -ENODATA ? error : search->error;
    } else {
        search->bytes = search->error != 0 || bytes < search->bytes ? bytes : search->bytes;
        search->error = 0;
    }
    return 0;
}

static int read_limit(const char *groups, const char *mounts, uint64_t *bytes)
{
    struct group group = {.version = 0};
    int error = zm_file_read_lines(AT_FDCWD, groups, read_group, &group);
    if (error == -ENOENT && access("/proc/self/stat", F_OK) != 0) {
        return -ENOSYS;
    }
    if (error == -ENOENT || (error == 0 && group.version == 0)) {
        *bytes = UINT64_MAX; /* a kernel without them, or a process in none */
        return 0;
    }
    struct search search = {.group = &group, .error = -ENODATA, .error_before = -ENODATA};
    error = error == 0 ? zm_file_read_lines(AT_FDCWD, mounts, read_mount, &search) : error;
    *bytes = search.bytes;
    return error != 0 ? error : search.error;
}

/* The process's groups are those of its first thread. When that has ended its mounts are EINVAL, and others tell. */
int zm_os_cgroup_limit(uint64_t *bytes)
{
    int error = read_limit("/proc/self/cgroup", "/proc/self/mountinfo", bytes);
    return error == -EINVAL ? read_limit("/proc/thread-self/cgroup", "/proc/thread-self/mountinfo", bytes) : error;
}
