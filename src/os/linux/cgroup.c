/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: the memory limits of the control groups that this process is in, as far up as they can be seen. */
#include "os/linux/file.h"
#include "os/linux/mounts.h"
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
    size_t asked; /* places that were found before, */
    size_t met;   /* and those of them that were met again */
    struct place place;
    uint64_t mount; /* that it is in */
};

/* "number:controllers:path" of /proc/self/cgroup; version 2's is "0::path". Other controllers' paths don't matter. */
static int read_group(void *context, const char *text, size_t length)
{
    struct group *group = context;
    struct zm_word line = {text, length};
    struct zm_word number = zm_word_take(&line, ':');
    struct zm_word controllers = zm_word_take(&line, ':');
    bool has_path = controllers.text + controllers.length < text + length;
    bool second = zm_word_is(number, "0") && controllers.length == 0;
    if (!has_path || !(zm_word_is_among(controllers, "memory") || (second && group->version == 0))) {
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

static bool copy_path(char copy[LONGEST_PATH], struct zm_word path)
{
    size_t length = 0;
    while (path.length > 0 && length < LONGEST_PATH - 1) {
        ((unsigned char *) copy)[length++] = zm_mount_take_character(&path);
    }
    copy[length] = '\0';
    return path.length == 0;
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
static const char *path_below(const struct group *group, struct zm_word root)
{
    const char *below = group->path;
    root.length = zm_word_is(root, "/") ? 0 : root.length;
    while (root.length > 0) {
        if (*below == '\0' || zm_mount_take_character(&root) != (unsigned char) *below++) {
            return NULL;
        }
    }
    if ((*below != '/' && *below != '\0') || leads_up(below)) {
        return NULL;
    }
    return strcmp(below, "/") != 0 ? below : "";
}

/* Whether it is of the group's tree, and the group lies in what is mounted. */
static bool find_place(const struct group *group, const struct zm_mount *mount, struct place *place)
{
    bool is_tree = group->version == 2
                       ? zm_word_is(mount->type, "cgroup2")
                       : zm_word_is(mount->type, "cgroup") && zm_word_is_among(mount->super_options, "memory");
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

/* In version 1, whether a group's limit is for those below it too: in kernels before 5.11 that could be chosen. */
static bool has_hierarchy(int folder)
{
    char text[8];
    return zm_file_read_text_of(folder, "memory.use_hierarchy", text, sizeof(text)) <= 0 || text[0] != '0';
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
        if (version == 1 && !has_hierarchy(above)) {
            return 0;
        }
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

/* The next place that was not found before. */
static int find_next(void *context, const char *text, size_t length)
{
    struct search *search = context;
    struct zm_mount mount;
    if (!zm_mount_split((struct zm_word){text, length}, &mount) ||
        !find_place(search->group, &mount, &search->place) || search->met++ < search->asked) {
        return 0;
    }
    search->asked++;
    search->mount = mount.number;
    return FOUND;
}

static int limit_if_uncovered(const char *mounts, const struct search *search, uint64_t *bytes)
{
    const struct place *place = &search->place;
    int covered = zm_mounts_cover(mounts, search->mount, &(struct zm_folder){place->point, place->below});
    return covered == 0 ? limit_in(search->group->version, place, bytes) : covered < 0 ? covered : -ENODATA;
}

/* Of several errors the first one that says more than that there is no such place. */
static int read_least_limit(const char *mounts, const struct group *group, uint64_t *bytes)
{
    struct search search = {.group = group};
    int result = -ENODATA;
    int found;
    while ((found = zm_file_read_lines(AT_FDCWD, mounts, find_next, &search)) == FOUND) {
        uint64_t limit;
        int error = limit_if_uncovered(mounts, &search, &limit);
        if (error == 0) {
            *bytes = result != 0 || limit < *bytes ? limit : *bytes;
        }
        result = error == 0 || result == -ENODATA ? error : result;
        search.met = 0;
    }
    return found < 0 ? found : result;
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
    return error == 0 ? read_least_limit(mounts, &group, bytes) : error;
}

/* The process's groups are those of its first thread. When that has ended its mounts are EINVAL, and others tell. */
int zm_os_cgroup_limit(uint64_t *bytes)
{
    int error = read_limit("/proc/self/cgroup", "/proc/self/mountinfo", bytes);
    return error == -EINVAL ? read_limit("/proc/thread-self/cgroup", "/proc/thread-self/mountinfo", bytes) : error;
}
