/* SPDX-License-Identifier: BSD-3-Clause */
/* A cache that keeps to a budget: threads look up the lines of some texts, and what was not used longest goes first.
 */
#include <zmalloc.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define TEXTS "/usr/share/common-licenses"

enum { SHELVES = 1 << 14, THREADS = 4, LONGEST_LINE = 1000, LEEWAY = 4096 };

/* In two lists: its shelf's, and all entries by their last use. */
struct entry {
    struct entry *next_on_shelf;
    struct entry *newer;
    struct entry *older;
    size_t uses;
    char line[];
};

/* Recursive, as the handler below runs in the middle of an insertion. */
static pthread_mutex_t mutex;
static struct entry **shelves;
static struct entry *newest;
static struct entry *oldest;
static size_t entries;
static size_t evicted;
static _Atomic size_t hits;
static _Atomic size_t misses;
static atomic_bool stop;

static struct entry **shelf_of(const char *line)
{
    size_t hash = 5381;
    for (; *line != '\0'; line++) {
        hash = hash * 33 + (unsigned char) *line;
    }
    return &shelves[hash % SHELVES];
}

static void unlink_entry(struct entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &oldest) = entry->newer;
}

static void put_first(struct entry *entry)
{
    entry->newer = NULL;
    entry->older = newest;
    *(newest != NULL ? &newest->newer : &oldest) = entry;
    newest = entry;
}

static void evict(struct entry *entry)
{
    struct entry **link = shelf_of(entry->line);
    while (*link != entry) {
        link = &(*link)->next_on_shelf;
    }
    *link = entry->next_on_shelf;
    unlink_entry(entry);
    zfree(entry);
    entries--;
    evicted++;
}

/* The budget is used up. Whoever asked is served once enough entries have gone. */
static int evict_oldest(size_t size, void *context)
{
    (void) size;
    (void) context;
    pthread_mutex_lock(&mutex);
    bool found = oldest != NULL;
    if (found) {
        evict(oldest);
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

static struct entry *find(const char *line)
{
    struct entry *entry = *shelf_of(line);
    while (entry != NULL && strcmp(entry->line, line) != 0) {
        entry = entry->next_on_shelf;
    }
    return entry;
}

static void look_up(const char *line)
{
    pthread_mutex_lock(&mutex);
    struct entry *entry = find(line);
    if (entry != NULL) {
        unlink_entry(entry);
        atomic_fetch_add(&hits, 1);
    } else {
        size_t size = strlen(line) + 1;
        entry = zcalloc(sizeof(*entry) + size); /* may evict */
        memcpy(entry->line, line, size);
        entry->next_on_shelf = *shelf_of(line);
        *shelf_of(line) = entry;
        entries++;
        atomic_fetch_add(&misses, 1);
    }
    entry->uses++;
    put_first(entry);
    pthread_mutex_unlock(&mutex);
}

static void look_up_lines(const char *path)
{
    char line[LONGEST_LINE];
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "cache: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    while (fgets(line, sizeof(line), file) != NULL && !atomic_load(&stop)) {
        look_up(line);
    }
    fclose(file);
}

/* All texts of the folder, over and over. */
static void *work(void *unused)
{
    while (!atomic_load(&stop)) {
        DIR *dir = opendir(TEXTS);
        if (dir == NULL) {
            fprintf(stderr, "cache: %s: %s\n", TEXTS, strerror(errno));
            exit(1);
        }
        for (struct dirent *found; (found = readdir(dir)) != NULL;) {
            char path[4096];
            struct stat about;
            snprintf(path, sizeof(path), "%s/%s", TEXTS, found->d_name);
            if (lstat(path, &about) == 0 && S_ISREG(about.st_mode)) {
                look_up_lines(path);
            }
        }
        closedir(dir);
    }
    return unused;
}

/*
 * The bytes in use, looked at again and again until the time is over; false if they were ever above the budget. A
 * reading may miss a little of what others free while it sums.
 */
static bool holds(size_t budget, double seconds)
{
    size_t most = 0;
    struct timespec start;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        size_t used = zmalloc_used_memory();
        most = used > most ? used : most;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double) (now.tv_sec - start.tv_sec) + (double) (now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
    printf("budget:%zu\nmost_used_memory:%zu\n", budget, most);
    return most <= budget + LEEWAY;
}

int main(int argc, char **argv)
{
    long asked = argc > 1 ? strtol(argv[1], NULL, 10) : 300000;
    size_t budget = asked > 0 ? (size_t) asked : 0;
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 3;

    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&mutex, &attributes);
    shelves = zcalloc(SHELVES * sizeof(*shelves));
    if (budget <= zmalloc_used_memory() || zmalloc_set_oom_retry_handler(evict_oldest, NULL) != 0 ||
        zmalloc_set_limit(budget) != 0) {
        fprintf(stderr, "usage: cache [BUDGET [SECONDS]], the budget in bytes and above %zu\n",
                zmalloc_used_memory());
        return 2;
    }

    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, work, NULL);
    }
    bool held = holds(budget, seconds);
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    printf("entries:%zu\nevicted:%zu\nhits:%zu\nmisses:%zu\n", entries, evicted, atomic_load(&hits),
           atomic_load(&misses));
    while (oldest != NULL) {
        evict(oldest);
    }
    zfree(shelves);
    return held && zmalloc_used_memory() == 0 ? 0 : 1;
}
