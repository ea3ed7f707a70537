/* SPDX-License-Identifier: BSD-3-Clause */
/* A small key-value store. It loads 50 MiB of paragraphs, deletes nine of ten, purges, and reports each time. */
#include <zmalloc.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_TEXTS "/usr/share/common-licenses"

enum { SHELVES = 16384, KEEP_ONE_IN = 10, ENOUGH = 50 << 20 };

struct entry {
    struct entry *next;
    char *value;
    size_t length;
    size_t room;
    char key[];
};

struct store {
    struct entry *shelves[SHELVES];
    size_t values;
    size_t texts; /* loaded so far, each as often as it was loaded */
};

static struct entry **shelf_of(struct store *store, const char *key)
{
    size_t hash = 5381;
    for (; *key != '\0'; key++) {
        hash = hash * 33 + (unsigned char) *key;
    }
    return &store->shelves[hash % SHELVES];
}

/* The entry of a key, with an empty value if there was none. */
static struct entry *entry_of(struct store *store, const char *key)
{
    struct entry **shelf = shelf_of(store, key);
    for (struct entry *entry = *shelf; entry != NULL; entry = entry->next) {
        if (strcmp(entry->key, key) == 0) {
            return entry;
        }
    }
    size_t size = strlen(key) + 1;
    struct entry *entry = zcalloc(sizeof(*entry) + size);
    memcpy(entry->key, key, size);
    entry->next = *shelf;
    *shelf = entry;
    store->values++;
    return entry;
}

/* What the allocator gave beyond the request is used, not lost. */
static void append(struct entry *entry, const char *text, size_t length)
{
    if (entry->room - entry->length < length) {
        entry->value = zrealloc_usable(entry->value, entry->length + length, &entry->room);
    }
    memcpy(entry->value + entry->length, text, length);
    entry->length += length;
}

/* Deletes all but each KEEP_ONE_IN-th, so that the blocks left are strewn over all pages. */
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
            zfree(entry->value);
            zfree(entry);
            store->values--;
        }
    }
}

/* Every paragraph is a value. Its key is such as "3.17": the 17th paragraph of the third text. */
static void load_file(struct store *store, const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "kv: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    store->texts++;
    size_t paragraphs = 0;
    struct entry *entry = NULL;
    for (char line[1024]; fgets(line, sizeof(line), file) != NULL;) {
        if (line[strspn(line, " \t\r\n\f")] == '\0') {
            entry = NULL;
            continue;
        }
        if (entry == NULL) {
            char key[64];
            snprintf(key, sizeof(key), "%zu.%zu", store->texts, ++paragraphs);
            entry = entry_of(store, key);
        }
        append(entry, line, strlen(line));
    }
    fclose(file);
}

/* All texts of a folder; links are other names of texts that are there too. */
static void load_folder(struct store *store, const char *folder)
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
            load_file(store, path);
        }
    }
    closedir(dir);
}

/* Loads the texts again and again until there is enough. */
static void load(struct store *store, char **texts)
{
    while (zmalloc_used_memory() < ENOUGH) {
        size_t before = store->values;
        for (char **text = texts; *text != NULL; text++) {
            load_file(store, *text);
        }
        if (*texts == NULL) {
            load_folder(store, DEFAULT_TEXTS);
        }
        if (store->values == before) {
            fprintf(stderr, "kv: there is nothing in these texts\n");
            exit(1);
        }
    }
}

static void print_bytes(const char *name, size_t bytes)
{
    if (bytes == ZMALLOC_UNKNOWN) {
        printf("%-20s%15s", name, "unknown");
    } else {
        printf("%-20s%15zu", name, bytes);
    }
}

static void print_difference(const char *name, int64_t bytes)
{
    if (bytes == ZMALLOC_UNKNOWN_DIFFERENCE) {
        printf("   %-25s%10s\n", name, "unknown");
    } else {
        printf("   %-25s%10" PRId64 "\n", name, bytes);
    }
}

/* Where the memory is, in the words of Redis's INFO: levels, and what each adds to the level above it. */
static void report(const char *stage, const struct store *store)
{
    struct zmalloc_report memory = {.size = sizeof(memory)};
    zmalloc_report(&memory, 0);

    printf("# %s: %zu values\n", stage, store->values);
    print_bytes("used_memory", memory.used);
    printf("\n");
    print_bytes("allocator_allocated", memory.allocated);
    print_difference("allocator_overhead_bytes", memory.allocator_overhead_bytes);
    print_bytes("allocator_active", memory.active);
    print_difference("allocator_frag_bytes", memory.allocator_frag_bytes);
    print_bytes("allocator_resident", memory.resident);
    print_difference("allocator_rss_bytes", memory.allocator_rss_bytes);
    print_bytes("used_memory_rss", memory.rss);
    print_difference("rss_overhead_bytes", memory.rss_overhead_bytes);
    printf("%-20s%15s", "mem_allocator", ZMALLOC_LIB);
    if (isnan(memory.mem_fragmentation_ratio)) {
        printf("   %-25s%10s\n\n", "mem_fragmentation_ratio", "unknown");
    } else {
        printf("   %-25s%10.2f\n\n", "mem_fragmentation_ratio", memory.mem_fragmentation_ratio);
    }
}

int main(int argc, char **argv)
{
    (void) argc;
    struct store *store = zcalloc(sizeof(*store));
    report("Empty", store);
    load(store, argv + 1);
    report("Loaded", store);
    thin_out(store);
    report("Most deleted", store);

    size_t returned;
    int error = zmalloc_purge(&returned);
    report(error == 0 ? "Purged" : "Could not purge", store);
    print_bytes("bytes_returned", returned);
    printf("\n\n");
    return 0;
}
