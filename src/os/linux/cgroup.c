/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: the memory limits of the control groups that this process is in, as far up as they can be seen. */
#include "os/linux/file.h"
#include "os/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of mounts, lines that are longer are passed over. */
enum { LONGEST_PATH = 1024, LONGEST_FOLDER = 2 * LONGEST_PATH };

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

/* Where the group is found. */
struct place {
    const struct group *group;
    size_t top; /* length of the mount point's path, with which the folder's begins */
    char folder[LONGEST_FOLDER];
};

/* Whether one of the words, with commas between them, is the one looked for. */
static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && strchr(",", at[length]) != NULL) {
            return true;
        }
    }
    return false;
}

/* A line as a string, or none if it is too long. */
static bool take_line(char text[LONGEST_PATH], const char *line, size_t length)
{
    if (length >= LONGEST_PATH) {
        return false;
    }
    memcpy(text, line, length);
    text[length] = '\0';
    return true;
}

/* "number:controllers:path" of /proc/self/cgroup; version 2's is "0::path". */
static int read_group(void *context, const char *line, size_t length)
{
    struct group *group = context;
    char text[LONGEST_PATH];
    if (!take_line(text, line, length)) {
        return -ENAMETOOLONG;
    }
    char *controllers = strchr(text, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL) {
        return 0;
    }
    *controllers++ = '\0';
    *path++ = '\0';
    bool second = strcmp(text, "0") == 0 && *controllers == '\0';
    if (has_word(controllers, "memory") || (second && group->version == 0)) {
        group->version = second ? 2 : 1;
        memcpy(group->path, path, strlen(path) + 1); /* no longer than the line */
    }
    return 0;
}

/* The group's path below what is mounted, or NULL if it is elsewhere: seen from another namespace it may be. */
static const char *path_below(const struct group *group, const char *root)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    const char *below = group->path + length;
    bool is_below = strncmp(group->path, root, length) == 0 && (*below == '/' || *below == '\0');
    if (!is_below || strstr(group->path, "/..") != NULL) {
        return NULL;
    }
    return strcmp(below, "/") != 0 ? below : "";
}

/* "id parent device root point options … - type source super-options" of /proc/self/mountinfo. */
static int read_mount(void *context, const char *line, size_t length)
{
    struct place *place = context;
    const struct group *group = place->group;
    char text[LONGEST_PATH];
    char root[LONGEST_PATH];
    char point[LONGEST_PATH];
    char type[LONGEST_PATH];
    char super_options[LONGEST_PATH];
    const char *rest = take_line(text, line, length) ? strstr(text, " - ") : NULL;
    /* cppcheck-suppress invalidscanf ; no word is longer than the line */
    bool has_tail = rest != NULL && sscanf(rest, " - %s %*s %s", type, super_options) == 2;
    /* cppcheck-suppress invalidscanf ; here too */
    if (!has_tail || sscanf(text, "%*s %*s %*s %s %s", root, point) != 2) {
        return 0;
    }
    bool is_tree = group->version == 2 ? strcmp(type, "cgroup2") == 0
                                       : strcmp(type, "cgroup") == 0 && has_word(super_options, "memory");
    const char *below = is_tree ? path_below(group, root) : NULL;
    if (below == NULL) {
        return 0;
    }
    place->top = strlen(point);
    snprintf(place->folder, sizeof(place->folder), "%s%s", point, below);
    return FOUND;
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
    uint64_t *limit = context;
    char text[LONGEST_PATH];
    if (!take_line(text, line, length) || strncmp(text, name, sizeof(name) - 1) != 0) {
        return 0;
    }
    int error = parse_limit(text + sizeof(name) - 1, limit);
    return error != 0 ? error : FOUND;
}

/* Version 1's kernel knows the least limit up the tree itself, beyond what is mounted too. */
static int limit_of_first(const char *folder, uint64_t *bytes)
{
    char path[LONGEST_FOLDER + sizeof("/memory.stat")];
    snprintf(path, sizeof(path), "%s/memory.stat", folder);
    int found = zm_file_read_lines(path, read_hierarchical_limit, bytes);
    return found == FOUND ? 0 : found < 0 ? found : -ENOENT;
}

/* A group without the file has no limit of its own: the tree's root, and those where the controller is off. */
static int own_limit_of_second(const char *folder, uint64_t *bytes)
{
    char path[LONGEST_FOLDER + sizeof("/memory.max")];
    char text[64];
    snprintf(path, sizeof(path), "%s/memory.max", folder);
    long length = zm_file_read_text_of(path, text, sizeof(text));
    if (length == -ENOENT && access(folder, F_OK) == 0) {
        *bytes = UINT64_MAX;
        return 0;
    }
    return length < 0 ? (int) length : parse_limit(text, bytes);
}

static int limit_of_second(char *folder, size_t top, uint64_t *bytes)
{
    *bytes = UINT64_MAX;
    for (;;) {
        uint64_t limit;
        int error = own_limit_of_second(folder, &limit);
        if (error != 0) {
            return error;
        }
        *bytes = limit < *bytes ? limit : *bytes;
        char *last = strrchr(folder, '/');
        if (last == NULL || last < folder + top) {
            return 0;
        }
        *last = '\0';
    }
}

static int read_limit(const char *groups, const char *mounts, uint64_t *bytes)
{
    struct group group = {.version = 0};
    int error = zm_file_read_lines(groups, read_group, &group);
    if (error == -ENOENT && access("/proc/self/stat", F_OK) != 0) {
        return -ENOSYS;
    }
    if (error == -ENOENT || (error == 0 && group.version == 0)) {
        *bytes = UINT64_MAX; /* a kernel without them, or a process in none */
        return 0;
    }
    struct place place = {.group = &group};
    int found = error == 0 ? zm_file_read_lines(mounts, read_mount, &place) : error;
    if (found != FOUND) {
        return found < 0 ? found : -ENOSYS;
    }
    return group.version == 1 ? limit_of_first(place.folder, bytes) : limit_of_second(place.folder, place.top, bytes);
}

/* The process's groups are those of its first thread. When that has ended its mounts are EINVAL, and others tell. */
int zm_os_cgroup_limit(uint64_t *bytes)
{
    int error = read_limit("/proc/self/cgroup", "/proc/self/mountinfo", bytes);
    return error == -EINVAL ? read_limit("/proc/thread-self/cgroup", "/proc/thread-self/mountinfo", bytes) : error;
}
