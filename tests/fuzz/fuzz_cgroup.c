/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer on what is read of control groups: /proc/self/cgroup and, after an empty line, /proc/self/mountinfo; and
 * of the whole as memory.stat and memory.max. Cut in pieces in any way, a text says the same as in one piece, and the
 * same as to a plain parser that has the whole of it in memory. An input's last two bytes say how it is cut.
 */
#include "chunks.h"
#include "expect.h"

/* Its readers of lines are its own affair; nothing else of it is called. */
#include "os/linux/cgroup.c"

enum { MOST_PLACES = 4 };

struct found {
    int error;
    struct group group;
    size_t count; /* of places; those beyond the most are counted only */
    struct place places[MOST_PLACES];
};

/* As find_next, but that no place is asked. */
static int note_place(void *context, const char *text, size_t length)
{
    struct found *found = context;
    struct zm_mount mount;
    struct place place;
    if (zm_mount_split((struct zm_word){text, length}, &mount) && find_place(&found->group, &mount, &place)) {
        if (found->count < MOST_PLACES) {
            found->places[found->count] = place;
        }
        found->count++;
    }
    return 0;
}

struct text {
    const char *begin;
    size_t length;
    size_t room; /* for a line */
};

static int read_text(zm_line_reader *read_line, void *context, struct text text, uint32_t *seed)
{
    char line[ZM_LONGEST_LINE];
    struct zm_lines lines;
    zm_lines_begin(&lines, line, text.room, read_line, context);
    int enough = 0;
    for (size_t done = 0; done < text.length && enough == 0;) {
        size_t size = next_chunk(seed, text.length - done);
        char *piece = malloc(size);
        memcpy(piece, text.begin + done, size);
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
    found->error = read_text(read_group, &found->group, (struct text){text, first, ZM_LONGEST_LINE}, &seed);
    if (found->error == 0 && found->group.version != 0) {
        struct text rest = {text + first, length - first, ZM_LONGEST_LINE};
        found->error = read_text(note_place, found, rest, &seed);
    }
}

/* The plain parser: lines are strings, and words are what strsep makes of them. */

struct line {
    size_t length; /* up to the newline, as far as it is read */
    char text[ZM_LONGEST_LINE + 1];
};

/* The line at *text, which is moved on to the next; a last line without newline is no line. */
static bool next_line(const char **text, const char *end, struct line *line)
{
    const char *newline = *text < end ? memchr(*text, '\n', (size_t) (end - *text)) : NULL;
    if (newline == NULL) {
        return false;
    }
    size_t length = (size_t) (newline - *text);
    line->length = length < ZM_LONGEST_LINE ? length : ZM_LONGEST_LINE;
    memcpy(line->text, *text, line->length);
    line->text[line->length] = '\0';
    *text = newline + 1;
    return true;
}

static bool plain_has_word(const char *words, const char *word)
{
    char copy[ZM_LONGEST_LINE + 1];
    strcpy(copy, words);
    char *rest = NULL;
    for (char *each = strtok_r(copy, ",", &rest); each != NULL; each = strtok_r(NULL, ",", &rest)) {
        if (strcmp(each, word) == 0) {
            return true;
        }
    }
    return false;
}

static int plain_group(const char *text, const char *end, struct group *group)
{
    for (struct line line; next_line(&text, end, &line);) {
        char *rest = line.text;
        const char *number = strsep(&rest, ":");
        const char *controllers = rest != NULL ? strsep(&rest, ":") : NULL;
        if (rest == NULL) {
            continue;
        }
        bool unified = strcmp(number, "0") == 0 && controllers[0] == '\0';
        if (plain_has_word(controllers, "memory") || (unified && group->version == 0)) {
            if (strlen(rest) >= LONGEST_PATH) {
                return -ENAMETOOLONG;
            }
            group->version = unified ? 2 : 1;
            strcpy(group->path, rest);
        }
    }
    return 0;
}

static void plain_unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        unsigned code = 0;
        if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
            sscanf(from + 1, "%3o", &code);
        }
        bool is_escaped = (char) code != '\0';
        *to++ = is_escaped ? (char) code : *from;
        from += is_escaped ? 3 : 0;
    }
    *to = '\0';
}

static bool plain_leads_up(const char *path)
{
    char copy[LONGEST_PATH + 1];
    strcpy(stpcpy(copy, path), "/");
    return strstr(copy, "/../") != NULL;
}

/* Whether the group's path lies below the root, and where its rest begins. */
static bool plain_below(const char *path, const char *root, bool is_top, const char **below)
{
    *below = is_top ? path : path + strnlen(root, strlen(path));
    bool begins = is_top || strncmp(path, root, strlen(root)) == 0;
    bool ends_there = **below == '\0' || **below == '/';
    *below += strcmp(*below, "/") == 0;
    return begins && ends_there && !plain_leads_up(*below);
}

enum { ROOT = 3, POINT };

static bool plain_place(const struct group *group, char *line, struct place *place)
{
    char *words[POINT + 1];
    char *word;
    int count = 0;
    for (; count <= POINT && line != NULL; count++) {
        words[count] = strsep(&line, " ");
    }
    while (line != NULL && (word = strsep(&line, " ")) != NULL && strcmp(word, "-") != 0) {
    }
    const char *type = strsep(&line, " ");
    strsep(&line, " ");
    if (line == NULL || *line == '\0') {
        return false;
    }
    bool is_tree = group->version == 2 ? strcmp(type, "cgroup2") == 0
                                       : strcmp(type, "cgroup") == 0 && plain_has_word(line, "memory");
    bool is_top = strcmp(words[ROOT], "/") == 0;
    plain_unescape(words[ROOT]);
    plain_unescape(words[POINT]);
    bool is_below = plain_below(group->path, words[ROOT], is_top, &place->below);
    if (!is_tree || !is_below || strlen(words[POINT]) >= LONGEST_PATH) {
        return false;
    }
    strcpy(place->point, words[POINT]);
    return true;
}

static void find_plainly(const char *text, size_t length, struct found *found)
{
    const char *end = text + length;
    const char *gap = memmem(text, length, "\n\n", 2);
    const char *middle = gap != NULL ? gap + 1 : end;
    memset(found, 0, sizeof(*found));
    found->error = plain_group(text, middle, &found->group);
    if (found->error != 0 || found->group.version == 0) {
        return;
    }
    struct place place;
    for (struct line line; next_line(&middle, end, &line);) {
        if (plain_place(&found->group, line.text, &place)) {
            if (found->count < MOST_PLACES) {
                found->places[found->count] = place;
            }
            found->count++;
        }
    }
}

static void compare(const struct found *a, const struct found *b)
{
    expect(a->error == b->error && a->group.version == b->group.version, "the same group");
    expect(strcmp(a->group.path, b->group.path) == 0, "the same path");
    expect(a->count == b->count, "as many places");
    for (size_t i = 0; i < a->count && i < MOST_PLACES; i++) {
        expect(strcmp(a->places[i].point, b->places[i].point) == 0, "the same mount point");
        expect(strcmp(a->places[i].below, b->places[i].below) == 0, "the same group below it");
    }
}

static void check(const struct found *found)
{
    const struct group *group = &found->group;
    expect(found->error == 0 || found->error == -ENAMETOOLONG, "a known error");
    expect(group->version >= 0 && group->version <= 2, "a known version");
    for (size_t i = 0; i < found->count && i < MOST_PLACES; i++) {
        const char *below = found->places[i].below;
        expect(*below == '\0' || *below == '/', "a path below the mount point");
        expect(strlen(below) <= strlen(group->path), "no more below than the group's path");
        expect(!plain_leads_up(below), "no way up");
    }
}

static int plain_limit(const char *text, uint64_t *limit)
{
    bool is_number = *text >= '0' && *text <= '9';
    uint64_t number = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        number = number >> 60 == 0 ? number * 10 + (uint64_t) (*text - '0') : UINT64_MAX;
    }
    *limit = is_number && number >> 62 == 0 ? number : UINT64_MAX;
    return is_number || strncmp(text, "max", 3) == 0 ? 0 : -EIO;
}

static void check_limit(const char *text, size_t length)
{
    char copy[ZM_LONGEST_LINE];
    uint64_t limit = 1;
    uint64_t plain = 1;
    if (length >= sizeof(copy)) {
        return;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    int error = parse_limit(copy, &limit);
    expect(error == plain_limit(copy, &plain), "a limit or an error");
    expect(limit == (error == 0 ? plain : 1), "the same limit");
}

static int plain_stat(const char *text, const char *end, uint64_t *limit)
{
    static const char name[] = "hierarchical_memory_limit ";
    for (struct line line; next_line(&text, end, &line);) {
        if (line.length < strlen(name) + 64 && strncmp(line.text, name, strlen(name)) == 0) {
            int error = plain_limit(line.text + strlen(name), limit);
            return error != 0 ? error : FOUND;
        }
    }
    return 0;
}

static void check_memory_stat(const char *text, size_t length, uint32_t seed)
{
    uint64_t whole = 1;
    uint64_t chunked = 1;
    uint64_t plain = 1;
    uint32_t uncut = 0;
    struct text all = {text, length, ZM_SHORT_LINE};
    int error = read_text(read_hierarchical_limit, &whole, all, &uncut);
    expect(error == read_text(read_hierarchical_limit, &chunked, all, &seed), "the same line");
    expect(error == plain_stat(text, text + length, &plain), "the line");
    expect(whole == chunked && (error != FOUND || whole == plain), "the same limit");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct found whole;
    static struct found chunked;
    static struct found plain;
    if (size < 2) {
        return 0;
    }
    uint32_t seed = data[size - 1] * 256u + data[size - 2] + 1;
    size_t length = size - 2;
    char *text = malloc(length + 1);
    memcpy(text, data, length);
    for (char *nul = text; (nul = memchr(nul, '\0', (size_t) (text + length - nul))) != NULL;) {
        *nul = '0'; /* the kernel writes none */
    }
    find(text, length, 0, &whole);
    find(text, length, seed, &chunked);
    find_plainly(text, length, &plain);
    compare(&whole, &chunked);
    compare(&whole, &plain);
    check(&whole);
    check_limit(text, length);
    check_memory_stat(text, length, seed);
    free(text);
    return 0;
}
