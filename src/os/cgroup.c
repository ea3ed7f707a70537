/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: the memory limits of the control groups that this process is in, as far up as they can be seen. */
#include "file.h"
#include "os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines that are longer are passed over. */
enum { LONGEST_PATH = 1024, LONGEST_FOLDER = 2 * LONGEST_PATH };

/*
 * Version 1 has a tree of groups for each controller, version 2 one tree for all. Where both are mounted, memory
 * belongs to one of them: to version 1's, if it is named there.
 */
struct group {
    int version;             /* 0: in none */
    char path[LONGEST_PATH]; /* in its tree */
};

struct tree {
    int version;
    bool found;
    char root[LONGEST_PATH];  /* what of the tree is mounted, */
    char point[LONGEST_PATH]; /* and where */
};

/* Whether one of the words, with commas between them, is the one looked for. */
static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && strchr(", \n", at[length]) != NULL) {
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
    char *controllers = take_line(text, line, length) ? strchr(text, ':') : NULL;
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL) {
        return 0;
    }
    *controllers++ = '\0';
    *path++ = '\0';
    bool second = strcmp(text, "0") == 0 && *controllers == '\0';
    if (has_word(controllers, "memory") || (second && group->version == 0)) {
        group->version = second ? 2 : 1;
        strcpy(group->path, path);
    }
    return 0;
}

/* "id parent device root point options … - type source super-options" of /proc/self/mountinfo. */
static int read_mount(void *context, const char *line, size_t length)
{
    struct tree *tree = context;
    char text[LONGEST_PATH];
    char root[LONGEST_PATH];
    char point[LONGEST_PATH];
    char type[LONGEST_PATH];
    char super_options[LONGEST_PATH];
    const char *rest = take_line(text, line, length) ? strstr(text, " - ") : NULL;
    if (rest == NULL || sscanf(rest, " - %s %*s %s", type, super_options) != 2 ||
        sscanf(text, "%*s %*s %*s %s %s", root, point) != 2) {
        return 0;
    }
    bool is_tree = tree->version == 2 ? strcmp(type, "cgroup2") == 0
                                      : strcmp(type, "cgroup") == 0 && has_word(super_options, "memory");
    if (is_tree && !tree->found) {
        tree->found = true;
        strcpy(tree->root, root);
        strcpy(tree->point, point);
    }
    return 0;
}

/* A number, or "max". Version 1 says "none" by a number that no memory reaches. */
static uint64_t parse_limit(const char *text)
{
    enum { BITS_OF_NONE = 62 };
    if (*text < '0' || *text > '9') {
        return UINT64_MAX;
    }
    uint64_t limit = strtoull(text, NULL, 10);
    return limit >> BITS_OF_NONE == 0 ? limit : UINT64_MAX;
}

static int read_hierarchical_limit(void *context, const char *line, size_t length)
{
    static const char name[] = "hierarchical_memory_limit ";
    uint64_t *limit = context;
    char text[LONGEST_PATH];
    if (!take_line(text, line, length) || strncmp(text, name, sizeof(name) - 1) != 0) {
        return 0;
    }
    *limit = parse_limit(text + sizeof(name) - 1);
    return 1;
}

/* Version 1's kernel knows the least limit up the tree itself, beyond what is mounted too. */
static int limit_of_first(const char *folder, uint64_t *bytes)
{
    char path[LONGEST_FOLDER + sizeof("/memory.stat")];
    snprintf(path, sizeof(path), "%s/memory.stat", folder);
    int found = zm_file_read_lines(path, read_hierarchical_limit, bytes);
    return found == 1 ? 0 : found < 0 ? found : -ENOENT;
}

/* A group without the file has no limit of its own: the tree's root, and those where the controller is off. */
static int limit_of_second(char *folder, size_t top, uint64_t *bytes)
{
    *bytes = UINT64_MAX;
    for (;;) {
        char path[LONGEST_FOLDER + sizeof("/memory.stat")];
        char text[64];
        snprintf(path, sizeof(path), "%s/memory.max", folder);
        long length = zm_file_read_text_of(path, text, sizeof(text));
        if (length < 0 && length != -ENOENT) {
            return (int) length;
        }
        uint64_t limit = length > 0 ? parse_limit(text) : UINT64_MAX;
        *bytes = limit < *bytes ? limit : *bytes;
        char *last = strrchr(folder, '/');
        if (last == NULL || last < folder + top) {
            return 0;
        }
        *last = '\0';
    }
}

/* The group's path below what is mounted, or NULL if it is elsewhere: seen from another namespace it may be. */
static const char *path_below(const struct group *group, const struct tree *tree)
{
    size_t length = strcmp(tree->root, "/") == 0 ? 0 : strlen(tree->root);
    const char *below = group->path + length;
    bool is_below = strncmp(group->path, tree->root, length) == 0 && (*below == '/' || *below == '\0');
    if (!is_below || strstr(group->path, "/..") != NULL) {
        return NULL;
    }
    return strcmp(below, "/") != 0 ? below : "";
}

int zm_os_cgroup_limit(uint64_t *bytes)
{
    struct group group = {.version = 0};
    int error = zm_file_read_lines("/proc/self/cgroup", read_group, &group);
    if (error == -ENOENT || (error == 0 && group.version == 0)) {
        *bytes = UINT64_MAX; /* a kernel without them, or a process in none */
        return 0;
    }
    struct tree tree = {.version = group.version, .found = false};
    if (error == 0) {
        error = zm_file_read_lines("/proc/self/mountinfo", read_mount, &tree);
    }
    const char *below = error == 0 && tree.found ? path_below(&group, &tree) : NULL;
    if (below == NULL) {
        return error != 0 ? error : -ENOSYS;
    }
    char folder[LONGEST_FOLDER];
    snprintf(folder, sizeof(folder), "%s%s", tree.point, below);
    return group.version == 1 ? limit_of_first(folder, bytes) : limit_of_second(folder, strlen(tree.point), bytes);
}
