/* SPDX-License-Identifier: BSD-3-Clause */
/* smaps, line by line: "begin-end rwxp offset device inode path", then its fields, "Name:   number kB". */
#include "os/linux/smaps.h"

#include "util/saturate.h"

#include <string.h>

/* A reader of a line's parts, from left to right. */
struct cursor {
    const char *at;
    const char *end;
};

static bool take(struct cursor *cursor, char expected)
{
    if (cursor->at == cursor->end || *cursor->at != expected) {
        return false;
    }
    cursor->at++;
    return true;
}

static void skip_blanks(struct cursor *cursor)
{
    while (take(cursor, ' ') || take(cursor, '\t')) {
    }
}

/* A digit's value, or -1. Hexadecimal ones are lower case, as the kernel writes them. */
static int digit_value(char digit, unsigned base)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    return base == 16 && digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Where the digits end. What doesn't fit becomes UINT64_MAX. */
static inline const char *read_digits(const char *at, const char *end, unsigned base, uint64_t *number)
{
    bool fits = true;
    *number = 0;
    int value;
    for (; at < end && (value = digit_value(*at, base)) >= 0; at++) {
        fits = fits && !__builtin_mul_overflow(*number, base, number) &&
               !__builtin_add_overflow(*number, (unsigned) value, number);
    }
    *number = fits ? *number : UINT64_MAX;
    return at;
}

/* At least one digit. */
static inline bool take_number(struct cursor *cursor, unsigned base, uint64_t *number)
{
    const char *first = cursor->at;
    cursor->at = read_digits(first, cursor->end, base, number);
    return cursor->at > first;
}

static bool is_name_part(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* "Name:   number kB", and nothing else in the line. Nearly all lines are such, so it is done with bare pointers. */
static bool parse_field(const char *line, size_t length, size_t *name_length, uint64_t *bytes)
{
    enum { UNIT = 3 };
    if (length < UNIT || memcmp(line + length - UNIT, " kB", UNIT) != 0) {
        return false;
    }
    const char *at = line;
    const char *end = line + length - UNIT;
    while (at < end && is_name_part(*at)) {
        at++;
    }
    *name_length = (size_t) (at - line);
    if (*name_length == 0 || at == end || *at++ != ':') {
        return false;
    }
    while (at < end && (*at == ' ' || *at == '\t')) {
        at++;
    }
    uint64_t number;
    if (at == end || read_digits(at, end, 10, &number) != end) {
        return false;
    }
    *bytes = zm_times64(number, 1024);
    return true;
}

static bool take_permissions(struct cursor *cursor, char *permissions)
{
    enum { LENGTH = 4 };
    if (cursor->end - cursor->at < LENGTH) {
        return false;
    }
    memcpy(permissions, cursor->at, LENGTH);
    permissions[LENGTH] = '\0';
    cursor->at += LENGTH;
    return true;
}

/* Device and inode are read over. */
static bool parse_header(const char *line, size_t length, struct zm_mapping *mapping, const char **path)
{
    struct cursor cursor = {line, line + length};
    uint64_t number;
    bool is_header = take_number(&cursor, 16, &mapping->begin) && take(&cursor, '-') &&
                     take_number(&cursor, 16, &mapping->end) && take(&cursor, ' ') &&
                     take_permissions(&cursor, mapping->permissions) && take(&cursor, ' ') &&
                     take_number(&cursor, 16, &mapping->offset) && take(&cursor, ' ') &&
                     take_number(&cursor, 16, &number) && take(&cursor, ':') && take_number(&cursor, 16, &number) &&
                     take(&cursor, ' ') && take_number(&cursor, 10, &number);
    skip_blanks(&cursor);
    *path = cursor.at;
    return is_header;
}

static int visit(struct zm_smaps *smaps)
{
    return smaps->in_mapping ? smaps->visit(&smaps->mapping, smaps->context) : 0;
}

static int begin_mapping(struct zm_smaps *smaps, const struct zm_mapping *header, const char *path, size_t length)
{
    int enough = visit(smaps);
    smaps->in_mapping = true;
    smaps->mapping.begin = header->begin;
    smaps->mapping.end = header->end;
    smaps->mapping.offset = header->offset;
    memcpy(smaps->mapping.permissions, header->permissions, sizeof(header->permissions));
    zm_fields_begin_again(&smaps->mapping.fields);
    memcpy(smaps->path, path, length);
    smaps->path[length] = '\0';
    return enough;
}

/* A field's line, to be kept as the next one. Those behind it may begin elsewhere than they did. */
static void keep_line(struct zm_smaps *smaps, size_t place, const char *line, size_t length)
{
    size_t *ends = smaps->kept.ends;
    if (place > smaps->kept.lines || ends[place] + length + 1 > sizeof(smaps->kept.text)) {
        smaps->kept.lines = smaps->kept.lines < place ? smaps->kept.lines : place;
        return;
    }
    memcpy(smaps->kept.text + ends[place], line, length);
    smaps->kept.text[ends[place] + length] = '\n';
    if (place == smaps->kept.lines || ends[place + 1] != ends[place] + length + 1) {
        smaps->kept.lines = place + 1;
        ends[place + 1] = ends[place] + length + 1;
    }
}

/* Whether the text begins with those of the kept lines that are from first up to last. */
static bool begins_with(const char *text, size_t length, const struct zm_smaps *smaps, size_t first, size_t last)
{
    const size_t *ends = smaps->kept.ends;
    size_t size = ends[last] - ends[first];
    return length >= size && memcmp(text, smaps->kept.text + ends[first], size) == 0;
}

/*
 * Most fields are as in the mapping before. As long as the text goes on as it did there, the next fields are what was
 * made of those lines; before the first mapping there are none. Returns the length of that part of the text.
 */
static size_t skip_kept_lines(struct zm_smaps *smaps, const char *text, size_t length)
{
    struct zm_fields *fields = &smaps->mapping.fields;
    size_t first = fields->count;
    size_t most = smaps->kept.lines < fields->named ? smaps->kept.lines : fields->named;
    if (first >= most) {
        return 0;
    }
    if (begins_with(text, length, smaps, first, most)) {
        fields->count = most;
    }
    size_t skipped = smaps->kept.ends[fields->count] - smaps->kept.ends[first];
    while (fields->count < most &&
           begins_with(text + skipped, length - skipped, smaps, fields->count, fields->count + 1)) {
        fields->count++;
        skipped = smaps->kept.ends[fields->count] - smaps->kept.ends[first];
    }
    return skipped;
}

static void add_field(struct zm_smaps *smaps, const char *line, size_t length, size_t name_length, uint64_t bytes)
{
    size_t place = smaps->mapping.fields.count;
    zm_fields_add(&smaps->mapping.fields, line, name_length, bytes);
    if (smaps->mapping.fields.count > place) {
        keep_line(smaps, place, line, length);
    } else {
        smaps->kept.lines = 0; /* a field that is there twice is the sum of two lines; it doesn't happen */
    }
}

static int read_line(void *context, const char *line, size_t length)
{
    struct zm_smaps *smaps = context;
    size_t name_length;
    uint64_t bytes;
    if (parse_field(line, length, &name_length, &bytes)) {
        if (smaps->in_mapping) {
            add_field(smaps, line, length, name_length, bytes);
        }
        return 0;
    }
    struct zm_mapping header;
    const char *path;
    return parse_header(line, length, &header, &path)
               ? begin_mapping(smaps, &header, path, (size_t) (line + length - path))
               : 0;
}

void zm_smaps_begin(struct zm_smaps *smaps, zm_mapping_visitor *visit_mapping, void *context)
{
    zm_lines_begin(&smaps->lines, smaps->line, sizeof(smaps->line), read_line, smaps);
    smaps->visit = visit_mapping;
    smaps->context = context;
    smaps->in_mapping = false;
    smaps->mapping.path = smaps->path;
    zm_fields_begin(&smaps->mapping.fields);
    smaps->kept.lines = 0;
    smaps->kept.ends[0] = 0;
}

int zm_smaps_put(struct zm_smaps *smaps, const char *piece, size_t length)
{
    const char *end = piece + length;
    int enough = 0;
    while (piece < end && enough == 0) {
        if (smaps->lines.length == 0) {
            piece += skip_kept_lines(smaps, piece, (size_t) (end - piece));
        }
        const char *newline = memchr(piece, '\n', (size_t) (end - piece));
        const char *next = newline != NULL ? newline + 1 : end;
        enough = zm_lines_put(&smaps->lines, piece, (size_t) (next - piece));
        piece = next;
    }
    return enough;
}

int zm_smaps_end(struct zm_smaps *smaps)
{
    return visit(smaps);
}
