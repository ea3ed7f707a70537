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
static bool take_number(struct cursor *cursor, unsigned base, uint64_t *number)
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

/* Most fields are as in the mapping before: then the next field is what was made of the same line there. */
static bool comes_again(const struct zm_smaps *smaps, const char *line, size_t length)
{
    size_t place = smaps->mapping.fields.count;
    return length != 0 && place < smaps->mapping.fields.named && length == smaps->kept[place].length &&
           memcmp(line, smaps->kept[place].text, length) == 0;
}

static void keep_line(struct zm_smaps *smaps, size_t place, const char *line, size_t length)
{
    smaps->kept[place].length = length <= ZM_KEPT_LINE ? length : 0;
    memcpy(smaps->kept[place].text, line, smaps->kept[place].length);
}

/* A field that is there twice is the sum of two lines. It doesn't happen, so all that is kept goes. */
static void forget_lines(struct zm_smaps *smaps)
{
    for (size_t i = 0; i < ZM_MOST_FIELDS; i++) {
        smaps->kept[i].length = 0;
    }
}

static void add_field(struct zm_smaps *smaps, const char *line, size_t length, size_t name_length, uint64_t bytes)
{
    size_t place = smaps->mapping.fields.count;
    zm_fields_add(&smaps->mapping.fields, line, name_length, bytes);
    if (smaps->mapping.fields.count > place) {
        keep_line(smaps, place, line, length);
    } else {
        forget_lines(smaps);
    }
}

static int read_line(void *context, const char *line, size_t length)
{
    struct zm_smaps *smaps = context;
    if (smaps->in_mapping && comes_again(smaps, line, length)) {
        smaps->mapping.fields.count++;
        return 0;
    }
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
    zm_lines_begin(&smaps->lines, read_line, smaps);
    smaps->visit = visit_mapping;
    smaps->context = context;
    smaps->in_mapping = false;
    smaps->mapping.path = smaps->path;
    zm_fields_begin(&smaps->mapping.fields);
    forget_lines(smaps);
}

int zm_smaps_put(struct zm_smaps *smaps, const char *piece, size_t length)
{
    return zm_lines_put(&smaps->lines, piece, length);
}

int zm_smaps_end(struct zm_smaps *smaps)
{
    return visit(smaps);
}
