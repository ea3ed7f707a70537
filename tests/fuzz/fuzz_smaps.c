/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer on the parser of smaps: cut in pieces in any way, a text says the same as in one piece, and the same as
 * to a plain parser that has the whole of it in memory. An input's last two bytes say how it is cut.
 */
#include "chunks.h"
#include "expect.h"
#include "os/linux/smaps.h"

#include <string.h>

enum { MOST_MAPPINGS = 64 };

struct found {
    size_t count;
    struct mapping {
        struct zm_mapping figures;
        char path[ZM_LONGEST_LINE + 1];
    } mappings[MOST_MAPPINGS];
};

static struct found whole;
static struct found chunked;
static struct found plain;

static int keep(const struct zm_mapping *mapping, void *context)
{
    struct found *found = context;
    struct mapping *copy = &found->mappings[found->count++];
    copy->figures = *mapping;
    strcpy(copy->path, mapping->path);
    return found->count == MOST_MAPPINGS;
}

static void parse(const char *text, size_t length, uint32_t seed, struct found *found)
{
    struct zm_smaps *smaps = malloc(sizeof(*smaps));
    found->count = 0;
    zm_smaps_begin(smaps, keep, found);
    int enough = 0;
    for (size_t done = 0; done < length && enough == 0;) {
        size_t size = next_chunk(&seed, length - done);
        char *piece = malloc(size);
        memcpy(piece, text + done, size);
        enough = zm_smaps_put(smaps, piece, size);
        free(piece);
        done += size;
    }
    if (enough == 0) {
        zm_smaps_end(smaps);
    }
    free(smaps);
}

/* The plain parser: a line is a string; its words are found by what they are made of. */

#define DIGITS "0123456789"
#define HEXADECIMAL DIGITS "abcdef"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* What the line begins with, made of these characters; empty if it is not followed by what should follow. */
static size_t word(const char *line, const char *made_of, const char *then, char *copy)
{
    size_t length = strspn(line, made_of);
    if (length == 0 || strncmp(line + length, then, strlen(then)) != 0) {
        return 0;
    }
    memcpy(copy, line, length);
    copy[length] = '\0';
    return length + strlen(then);
}

static void plain_field(struct zm_fields *fields, const char *name, const char *number)
{
    unsigned long long kilobytes = strtoull(number, NULL, 10);
    unsigned long long bytes = kilobytes >> 54 == 0 ? kilobytes << 10 : UINT64_MAX;
    size_t i = 0;
    while (i < fields->count && strcmp(fields->all[i].name, name) != 0) {
        i++;
    }
    if (strlen(name) > ZM_LONGEST_FIELD || i == ZM_MOST_FIELDS) {
        return;
    }
    if (i == fields->count) {
        strcpy(fields->all[i].name, name);
        fields->all[i].bytes = 0;
        fields->count++;
    }
    fields->all[i].bytes = fields->all[i].bytes > UINT64_MAX - bytes ? UINT64_MAX : fields->all[i].bytes + bytes;
}

static int plain_header(const char *line, size_t length, struct mapping *mapping)
{
    char begin[ZM_LONGEST_LINE + 1];
    char end[ZM_LONGEST_LINE + 1];
    char offset[ZM_LONGEST_LINE + 1];
    char unused[ZM_LONGEST_LINE + 1];
    size_t at = word(line, HEXADECIMAL, "-", begin);
    size_t step = at > 0 ? word(line + at, HEXADECIMAL, " ", end) : 0;
    if (step == 0 || length < at + step + 5 || line[at + step + 4] != ' ') {
        return 0;
    }
    at += step;
    memcpy(mapping->figures.permissions, line + at, 4);
    mapping->figures.permissions[4] = '\0';
    at += 5;
    static const char *const then[] = {" ", ":", " ", ""};
    for (size_t i = 0; i < 4; i++) {
        step = word(line + at, i < 3 ? HEXADECIMAL : DIGITS, then[i], i == 0 ? offset : unused);
        if (step == 0) {
            return 0;
        }
        at += step;
    }
    at += strspn(line + at, " \t");
    strcpy(mapping->path, line + at);
    mapping->figures.begin = strtoull(begin, NULL, 16);
    mapping->figures.end = strtoull(end, NULL, 16);
    mapping->figures.offset = strtoull(offset, NULL, 16);
    mapping->figures.fields.count = 0;
    return 1;
}

static void plain_line(const char *line, size_t length)
{
    static struct mapping mapping;
    char name[ZM_LONGEST_LINE + 1];
    char number[ZM_LONGEST_LINE + 1];
    size_t at = word(line, LETTERS DIGITS "_", ":", name);
    if (at > 0) {
        at += strspn(line + at, " \t");
        size_t step = word(line + at, DIGITS, " kB", number);
        if (step > 0 && at + step == length && plain.count > 0) {
            plain_field(&plain.mappings[plain.count - 1].figures.fields, name, number);
        }
    } else if (plain_header(line, length, &mapping) && plain.count <= MOST_MAPPINGS) {
        if (plain.count < MOST_MAPPINGS) {
            plain.mappings[plain.count] = mapping;
        }
        plain.count++;
    }
}

static void parse_plainly(const char *text, size_t length)
{
    static char line[ZM_LONGEST_LINE + 1];
    plain.count = 0;
    for (size_t begin = 0; plain.count <= MOST_MAPPINGS;) {
        const char *newline = begin < length ? memchr(text + begin, '\n', length - begin) : NULL;
        if (newline == NULL) {
            break;
        }
        size_t size = (size_t) (newline - text) - begin;
        size_t kept = size < ZM_LONGEST_LINE ? size : ZM_LONGEST_LINE;
        memcpy(line, text + begin, kept);
        line[kept] = '\0';
        plain_line(line, kept);
        begin += size + 1;
    }
    plain.count = plain.count < MOST_MAPPINGS ? plain.count : MOST_MAPPINGS;
}

static void compare_fields(const struct zm_fields *a, const struct zm_fields *b)
{
    expect(a->count == b->count, "as many fields");
    for (size_t i = 0; i < a->count; i++) {
        expect(strcmp(a->all[i].name, b->all[i].name) == 0, "the same names");
        expect(a->all[i].bytes == b->all[i].bytes, "the same figures");
        expect(*zm_fields_find(a, a->all[i].name, strlen(a->all[i].name)) == a->all[i].bytes, "found by name");
    }
}

static void compare(const struct found *a, const struct found *b)
{
    expect(a->count == b->count, "as many mappings");
    for (size_t i = 0; i < a->count; i++) {
        const struct zm_mapping *x = &a->mappings[i].figures;
        const struct zm_mapping *y = &b->mappings[i].figures;
        expect(x->begin == y->begin && x->end == y->end && x->offset == y->offset, "the same addresses");
        expect(memcmp(x->permissions, y->permissions, sizeof(x->permissions)) == 0, "the same permissions");
        expect(strcmp(a->mappings[i].path, b->mappings[i].path) == 0, "the same path");
        compare_fields(&x->fields, &y->fields);
    }
}

static void sum(const struct found *found, struct zm_fields *sums)
{
    zm_fields_begin(sums);
    for (size_t i = 0; i < found->count; i++) {
        zm_fields_add_all(sums, &found->mappings[i].figures.fields);
    }
}

static void compare_sums(const struct found *found)
{
    struct zm_fields sums;
    struct zm_fields plain_sums;
    sum(found, &sums);
    plain_sums.count = 0;
    for (size_t i = 0; i < found->count; i++) {
        const struct zm_fields *fields = &found->mappings[i].figures.fields;
        for (size_t f = 0; f < fields->count; f++) {
            char number[32];
            bool too_much = fields->all[f].bytes == UINT64_MAX;
            snprintf(number, sizeof(number), "%llu%s", (unsigned long long) fields->all[f].bytes >> 10,
                     too_much ? "99" : "");
            plain_field(&plain_sums, fields->all[f].name, number);
        }
    }
    compare_fields(&sums, &plain_sums);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    uint32_t seed = data[size - 1] * 256u + data[size - 2] + 1;
    size_t length = size - 2;
    char *text = malloc(length + 1);
    memcpy(text, data, length);
    /* The plain parser's lines are strings. */
    for (char *nul; (nul = memchr(text, '\0', length)) != NULL;) {
        *nul = '\n';
    }
    parse(text, length, 0, &whole);
    parse(text, length, seed, &chunked);
    parse_plainly(text, length);
    compare(&whole, &chunked);
    compare(&whole, &plain);
    compare_sums(&whole);
    free(text);
    return 0;
}
