/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store of many small keys, as a cache server has it: a hash table with an entry of three pointers, a key and a
 * value for each, all blocks of their own. Usage: keys COUNT FILE...; keys and values of 8 to 40 bytes are cut from
 * the files' text. Prints the bytes that were asked for, those in use, and those that the process grew by, each for
 * one key.
 */
#include "workload.h"

#include <zmalloc.h>

#include <ctype.h>
#include <string.h>

enum { SHORTEST = 8, LONGEST = 40, MOST_TEXT = 4 << 20 };

struct entry {
    char *key;
    char *value;
    struct entry *next;
};

static char text[MOST_TEXT];
static size_t text_size;
static size_t asked;

static void read_text(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    text_size += fread(text + text_size, 1, MOST_TEXT - text_size, file);
    fclose(file);
}

static void *counted(size_t size)
{
    asked += size;
    return zmalloc(size);
}

/* Whole words from somewhere in the text: as many as fit, and more than nothing. Returns their length. */
static size_t cut_words(char *to, size_t most, uint32_t *state)
{
    size_t at = next_random(state) % (text_size - LONGEST - most);
    while (at > 0 && !isspace((unsigned char) text[at - 1])) {
        at--;
    }
    size_t end = 0;
    for (size_t i = 0; i < most; i++) {
        to[i] = isspace((unsigned char) text[at + i]) ? ' ' : text[at + i];
        end = isspace((unsigned char) text[at + i + 1]) ? i + 1 : end;
    }
    return end != 0 ? end : most;
}

static char *stored(const char *bytes, size_t length)
{
    char *copy = counted(length + 1);
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

/* Words and a number, as in "the account:1234": no two are alike. */
static char *new_key(size_t count, uint32_t *state)
{
    char key[LONGEST + 1];
    size_t most = SHORTEST + next_random(state) % (LONGEST - SHORTEST + 1);
    size_t digits = (size_t) snprintf(NULL, 0, ":%zu", count);
    size_t length = digits < most ? cut_words(key, most - digits, state) : 0;
    length += (size_t) snprintf(key + length, sizeof(key) - length, ":%zu", count);
    while (length < SHORTEST) {
        key[length++] = '0';
    }
    return stored(key, length);
}

static char *new_value(uint32_t *state)
{
    char value[LONGEST];
    size_t length = cut_words(value, SHORTEST + next_random(state) % (LONGEST - SHORTEST + 1), state);
    while (length < SHORTEST) {
        value[length++] = ' ';
    }
    return stored(value, length);
}

static size_t hash(const char *key)
{
    uint64_t sum = 14695981039346656037U;
    for (; *key != '\0'; key++) {
        sum = (sum ^ (unsigned char) *key) * 1099511628211U;
    }
    return (size_t) sum;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: keys COUNT FILE...\n");
        return 2;
    }
    size_t count = (size_t) number(argv[1], "COUNT");
    for (int i = 2; i < argc; i++) {
        read_text(argv[i]);
    }
    uint32_t state = 1;
    size_t rss = zmalloc_get_rss();
    struct entry **table = zcalloc_num(count, sizeof(struct entry *));
    asked = count * sizeof(struct entry *);
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = counted(sizeof(*entry));
        *entry = (struct entry){.key = new_key(i, &state), .value = new_value(&state)};
        struct entry **place = &table[hash(entry->key) % count];
        entry->next = *place;
        *place = entry;
    }
    double each = (double) count;
    printf("%.2f %.2f %.2f\n", (double) asked / each, (double) zmalloc_used_memory() / each,
           (double) (zmalloc_get_rss() - rss) / each);
    return 0;
}
