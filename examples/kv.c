/* SPDX-License-Identifier: BSD-3-Clause */
/* A small key-value store on z*: every word of some texts, how often and where. Watch the memory come and go. */
#include <zmalloc.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_TEXTS "/usr/share/common-licenses"

enum { SHELVES = 4096, LONGEST_WORD = 64, KEEP_ONE_IN = 10 };

struct entry {
    struct entry *next;
    long *places; /* where the word stands, in characters from the start of all texts */
    size_t count;
    size_t room;
    char word[];
};

struct store {
    struct entry *shelves[SHELVES];
    size_t words;
};

static size_t shelf_of(const char *word)
{
    size_t hash = 5381;
    for (; *word != '\0'; word++) {
        hash = hash * 33 + (unsigned char) *word;
    }
    return hash % SHELVES;
}

static struct entry *find(struct store *store, const char *word)
{
    struct entry *entry = store->shelves[shelf_of(word)];
    while (entry != NULL && strcmp(entry->word, word) != 0) {
        entry = entry->next;
    }
    return entry;
}

static struct entry *insert(struct store *store, const char *word)
{
    size_t size = strlen(word) + 1;
    struct entry *entry = zcalloc(sizeof(*entry) + size);
    memcpy(entry->word, word, size);

    struct entry **shelf = &store->shelves[shelf_of(word)];
    entry->next = *shelf;
    *shelf = entry;
    store->words++;
    return entry;
}

/* Makes room for one more place. What the allocator gives beyond the request is used, not lost. */
static void make_room(struct entry *entry)
{
    if (entry->count < entry->room) {
        return;
    }
    size_t usable;
    size_t wanted = entry->room == 0 ? 1 : entry->room * 2;
    entry->places = zrealloc_usable(entry->places, wanted * sizeof(long), &usable);
    entry->room = usable / sizeof(long);
}

static void note(struct store *store, const char *word, long place)
{
    struct entry *entry = find(store, word);
    if (entry == NULL) {
        entry = insert(store, word);
    }
    make_room(entry);
    entry->places[entry->count++] = place;
}

/* Deletes all words but each KEEP_ONE_IN-th, so that the blocks left are strewn over all pages. */
static void thin_out(struct store *store)
{
    size_t seen = 0;
    for (size_t i = 0; i < SHELVES; i++) {
        for (struct entry **link = &store->shelves[i]; *link != NULL;) {
            struct entry *entry = *link;
            if (seen++ % KEEP_ONE_IN == 0) {
                link = &entry->next;
                continue;
            }
            *link = entry->next;
            zfree(entry->places);
            zfree(entry);
            store->words--;
        }
    }
}

static long load_file(struct store *store, const char *path, long place)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "kv: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    char word[LONGEST_WORD];
    size_t length = 0;
    int c;
    do {
        c = getc(file);
        if (c != EOF && isalpha(c) && length < sizeof(word) - 1) {
            word[length++] = (char) tolower(c);
        } else if (length > 0) {
            word[length] = '\0';
            note(store, word, place - (long) length);
            length = 0;
        }
        place++;
    } while (c != EOF);
    fclose(file);
    return place;
}

/* All texts of a folder; links are other names of texts that are there too. */
static long load_folder(struct store *store, const char *folder, long place)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        fprintf(stderr, "kv: %s: %s\nusage: kv [TEXT...]\n", folder, strerror(errno));
        exit(1);
    }
    for (struct dirent *found; (found = readdir(dir)) != NULL;) {
        char path[4096];
        struct stat about;
        snprintf(path, sizeof(path), "%s/%s", folder, found->d_name);
        if (lstat(path, &about) == 0 && S_ISREG(about.st_mode)) {
            place = load_file(store, path, place);
        }
    }
    closedir(dir);
    return place;
}

static void print_bytes(const char *name, size_t bytes)
{
    if (bytes == ZMALLOC_UNKNOWN) {
        printf("%s:unknown\n", name);
    } else {
        printf("%s:%zu\n", name, bytes);
    }
}

static void print_difference(const char *name, int64_t bytes)
{
    if (bytes == ZMALLOC_UNKNOWN_DIFFERENCE) {
        printf("%s:unknown\n", name);
    } else {
        printf("%s:%" PRId64 "\n", name, bytes);
    }
}

/* The differences and used_memory add up to used_memory_rss. */
static void report(const char *stage, const struct store *store)
{
    struct zmalloc_report memory = {.size = sizeof(memory)};
    zmalloc_report(&memory, 0);

    printf("# %s, %zu words\n", stage, store->words);
    print_bytes("used_memory", memory.used);
    print_difference("allocator_overhead_bytes", memory.allocator_overhead_bytes);
    print_difference("allocator_frag_bytes", memory.allocator_frag_bytes);
    print_difference("allocator_rss_bytes", memory.allocator_rss_bytes);
    print_difference("rss_overhead_bytes", memory.rss_overhead_bytes);
    print_bytes("used_memory_rss", memory.rss);
    printf("mem_fragmentation_ratio:%.2f\n", memory.mem_fragmentation_ratio);
    printf("mem_allocator:%s\n\n", ZMALLOC_LIB);
}

int main(int argc, char **argv)
{
    struct store *store = zcalloc(sizeof(*store));
    report("Empty", store);

    long place = 0;
    for (int i = 1; i < argc; i++) {
        place = load_file(store, argv[i], place);
    }
    if (argc == 1) {
        load_folder(store, DEFAULT_TEXTS, place);
    }
    report("Loaded", store);

    struct entry *the = find(store, "the");
    printf("\"the\" stands in %zu places\n\n", the != NULL ? the->count : 0);

    thin_out(store);
    report("Most words deleted", store);

    size_t returned;
    int error = zmalloc_purge(&returned);
    report(error == 0 ? "Purged" : "Could not purge", store);
    print_bytes("returned", returned);
    return 0;
}
