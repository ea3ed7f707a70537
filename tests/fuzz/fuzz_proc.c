/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer on the kernel's short texts: /proc/self/stat, /proc/self/statm and what says when pages are huge. Numbers
 * in plain sight are the very numbers that a plain reader sees. An input's last two bytes say which field is wanted.
 */
#include "expect.h"

/* Their parsers are their own affair; nothing else of them is called. */
#include "os/linux/machine.c"
#include "os/linux/process.c"

#include <ctype.h>
#include <limits.h>

/* All digits, perhaps with a sign before them. */
static bool is_plain(const char *word, size_t length, bool may_be_negative)
{
    size_t sign = may_be_negative && length > 0 && word[0] == '-';
    for (size_t i = sign; i < length; i++) {
        if (word[i] < '0' || word[i] > '9') {
            return false;
        }
    }
    return length > sign;
}

/* The number of a plain word, or false if it is beyond what the bits can hold. */
static bool plain_number(const char *word, size_t length, unsigned bits, __int128 *number)
{
    bool negative = word[0] == '-';
    __int128 most = ((__int128) 1 << bits) - 1;
    *number = 0;
    for (size_t i = negative; i < length; i++) {
        *number = *number * 10 + (word[i] - '0');
        if (*number > most + negative) {
            return false;
        }
    }
    *number = negative ? -*number : *number;
    return true;
}

/* The words of stat have one blank between them, and the second of them is in brackets. NULL: there is no such. */
static const char *plain_field(const char *text, int field)
{
    const char *word = text;
    if (field > 1) {
        word = NULL;
        for (const char *c = text; *c != '\0'; c++) {
            word = *c == ')' ? c : word;
        }
        if (word == NULL || word[1] != ' ') {
            return NULL;
        }
        word += 2;
    }
    for (int i = 3; i < field; i++) {
        while (*word != ' ' && *word != '\0') {
            word++;
        }
        if (*word++ == '\0') {
            return NULL;
        }
    }
    return word;
}

static void check_stat(const char *text, int field)
{
    long long value = 0;
    int error = zm_process_parse_stat(text, field, &value);
    const char *word = field >= 1 ? plain_field(text, field) : NULL;
    if (word == NULL) {
        expect(error == -EINVAL, "no field");
        return;
    }
    size_t length = strcspn(word, " \n");
    __int128 number;
    if (!is_plain(word, length, true) || word[length] == '\0') {
        bool is_lenient = isspace((unsigned char) word[0]) || word[0] == '+';
        expect(error != 0 || is_lenient, "a number or an error");
    } else if (plain_number(word, length, 63, &number)) {
        expect(error == 0 && value == number, "the field's number");
    } else {
        expect(error == -ERANGE, "too large a number");
    }
}

static void check_statm(const char *text)
{
    uint64_t bytes = 0;
    int error = parse_statm(text, &bytes);
    expect(error == 0 || error == -EIO || error == -ESRCH, "a known error");
    const char *blank = strchr(text, ' ');
    if (blank == NULL || !is_plain(text, (size_t) (blank - text), false)) {
        return;
    }
    const char *second = blank + 1;
    size_t length = strspn(second, "0123456789");
    __int128 size;
    __int128 resident;
    if (length == 0) {
        expect(error == -EIO || second[0] == '+' || second[0] == '-' || isspace((unsigned char) second[0]),
               "two numbers");
    } else if (plain_number(text, (size_t) (blank - text), 64, &size) &&
               plain_number(second, length, 51, &resident)) {
        expect(error == (size != 0 ? 0 : -ESRCH), "a size, or a process without memory");
        expect(bytes == (uint64_t) resident * zm_os_page_size(), "what is resident");
    }
}

static void check_thp(const char *text)
{
    enum zm_thp mode = ZM_THP_NEVER;
    int error = parse_thp(text, &mode);
    bool never = false;
    bool madvise = false;
    bool always = false;
    for (const char *at = text; *at != '\0'; at++) {
        never = never || strncmp(at, "[never]", 7) == 0;
        madvise = madvise || strncmp(at, "[madvise]", 9) == 0;
        always = always || strncmp(at, "[always]", 8) == 0;
    }
    enum zm_thp first = never ? ZM_THP_NEVER : madvise ? ZM_THP_MADVISE : ZM_THP_ALWAYS;
    expect(error == (never || madvise || always ? 0 : -EIO), "a word in brackets, or an error");
    expect(error != 0 || mode == first, "that word");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    /* Most fields that are asked for are there. */
    int field = data[size - 1] > 250   ? INT_MIN + data[size - 2]
                : data[size - 1] > 240 ? INT_MAX - data[size - 2]
                                       : data[size - 2] % 60 - 4;
    size_t length = size - 2;
    char *text = malloc(length + 1);
    memcpy(text, data, length);
    text[length] = '\0';
    check_stat(text, field);
    check_statm(text);
    check_thp(text);
    free(text);
    return 0;
}
