/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parser of smaps by itself. Texts come from standard input, each after a line "SEED LENGTH" that says how it is
 * to be cut in pieces (see chunks.h) and how long it is; what was found in them goes to standard output.
 */
#include "chunks.h"
#include "os/linux/smaps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_escaped(const char *text)
{
    for (const unsigned char *c = (const unsigned char *) text; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~' || *c == '\\') {
            printf("\\x%02x", *c);
        } else {
            putchar(*c);
        }
    }
}

static void print_fields(const struct zm_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        printf("%s %llu\n", fields->all[i].name, (unsigned long long) fields->all[i].bytes);
    }
}

static int print_mapping(const struct zm_mapping *mapping, void *context)
{
    printf("mapping %llx %llx %llx ", (unsigned long long) mapping->begin, (unsigned long long) mapping->end,
           (unsigned long long) mapping->offset);
    print_escaped(mapping->permissions);
    printf(" ");
    print_escaped(mapping->path);
    printf("\n");
    print_fields(&mapping->fields);
    zm_fields_add_all(context, &mapping->fields);
    return 0;
}

static void parse(const char *text, size_t length, uint32_t seed)
{
    static struct zm_smaps smaps;
    struct zm_fields sums;
    zm_fields_begin(&sums);
    zm_smaps_begin(&smaps, print_mapping, &sums);
    int enough = 0;
    for (size_t done = 0; done < length && enough == 0;) {
        size_t size = next_chunk(&seed, length - done);
        /* Each piece in a place of its own: nothing before or after it may be looked at. */
        char *piece = malloc(size + 1);
        if (piece == NULL) {
            exit(1);
        }
        memcpy(piece, text + done, size);
        enough = zm_smaps_put(&smaps, piece, size);
        memset(piece, '!', size);
        free(piece);
        done += size;
    }
    if (enough == 0) {
        zm_smaps_end(&smaps);
    }
    printf("sums\n");
    print_fields(&sums);
    printf("end\n");
}

int main(void)
{
    unsigned seed;
    size_t length;
    while (scanf("%u %zu", &seed, &length) == 2 && getchar() == '\n') {
        char *text = malloc(length + 1);
        if (text == NULL || fread(text, 1, length, stdin) != length) {
            return 1;
        }
        parse(text, length, seed);
        fflush(stdout);
        free(text);
    }
    return 0;
}
