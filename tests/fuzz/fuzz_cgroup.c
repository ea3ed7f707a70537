/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer on what is read of control groups: /proc/self/cgroup and, after an empty line, /proc/self/mountinfo. Cut
 * in pieces in any way, they say the same as in one piece. An input's last two bytes say how it is cut.
 */
#include "chunks.h"

/* Its readers of lines are its own affair; nothing else of it is called. */
#include "cgroup.c"

struct found {
    int error;
    struct group group;
    struct place place;
};

static int read_text(zm_line_reader *read_line, void *context, const char *text, size_t length, uint32_t *seed)
{
    struct zm_lines lines;
    zm_lines_begin(&lines, read_line, context);
    int enough = 0;
    for (size_t done = 0; done < length && enough == 0;) {
        size_t size = next_chunk(seed, length - done);
        char *piece = malloc(size);
        memcpy(piece, text + done, size);
        enough = zm_lines_put(&lines, piece, size);
        free(piece);
        done += size;
    }
    return enough;
}

static void find(const char *text, size_t length, uint32_t seed, struct found *found)
{
    const char *gap = memmem(text, length, "\n\n", 2);
    size_t first = gap != NULL ? (size_t) (gap - text) + 1 : length;
    memset(found, 0, sizeof(*found));
    found->place.group = &found->group;
    found->error = read_text(read_group, &found->group, text, first, &seed);
    if (found->error == 0 && found->group.version != 0) {
        found->error = read_text(read_mount, &found->place, text + first, length - first, &seed);
    }
}

static void expect(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "not so: %s\n", what);
        abort();
    }
}

static void check(const struct found *found)
{
    const struct group *group = &found->group;
    const struct place *place = &found->place;
    expect(found->error == 0 || found->error == FOUND || found->error == -ENAMETOOLONG, "a known error");
    expect(group->version >= 0 && group->version <= 2, "a known version");
    if (found->error == FOUND) {
        size_t below = strlen(place->folder) - place->top;
        expect(place->top > 0 && place->top <= strlen(place->folder), "a folder below its mount");
        expect(below <= strlen(group->path), "no more below than the group's path");
        expect(strcmp(place->folder + place->top, group->path + strlen(group->path) - below) == 0 || below == 0,
               "the end of the group's path");
        expect(strstr(place->folder + place->top, "/../") == NULL, "no way up");
    }
}

static void check_limit(const char *text, size_t length)
{
    char copy[LONGEST_PATH];
    uint64_t limit = 1;
    if (!take_line(copy, text, length)) {
        return;
    }
    int error = parse_limit(copy, &limit);
    expect(error == 0 || (error == -EIO && limit == 1), "a limit or an error");
    expect(limit >> 62 == 0 || limit == UINT64_MAX, "none is one number");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct found whole;
    static struct found chunked;
    if (size < 2) {
        return 0;
    }
    uint32_t seed = data[size - 1] * 256u + data[size - 2] + 1;
    const char *text = (const char *) data;
    size_t length = size - 2;
    find(text, length, 0, &whole);
    find(text, length, seed, &chunked);
    expect(whole.error == chunked.error && whole.group.version == chunked.group.version, "the same group");
    expect(strcmp(whole.group.path, chunked.group.path) == 0, "the same path");
    expect(strcmp(whole.place.folder, chunked.place.folder) == 0, "the same folder");
    check(&whole);
    check_limit(text, length);
    return 0;
}
