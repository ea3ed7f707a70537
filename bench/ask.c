/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What questions to the kernel cost. Usage: ask QUESTION TIMES MAPPINGS; prints microseconds each, of the processor,
 * asked in a process that has that many mappings. `ask hold TIMES MAPPINGS` only has them: it says so, and waits for
 * its input to end.
 */
#include "workload.h"

#include <zmalloc.h>

#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Neighbours differ in what may be done with them, or the kernel would make one mapping of them. */
static void make_mappings(long count)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, (size_t) count * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    for (long i = 0; i < count; i++) {
        pages[(size_t) i * page] = 1;
        if (i % 2 == 1) {
            mprotect(pages + (size_t) i * page, page, PROT_READ);
        }
    }
}

static FILE *open_or_die(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    return file;
}

static size_t rss(void)
{
    return zmalloc_get_rss();
}

/* The usual way: field 24 of stat. */
static size_t rss_by_stat(void)
{
    long pages = 0;
    FILE *stat = open_or_die("/proc/self/stat");
    if (fscanf(stat,
               "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %ld",
               &pages) != 1) {
        pages = 0;
    }
    fclose(stat);
    return (size_t) pages * (size_t) sysconf(_SC_PAGESIZE);
}

static size_t field(void)
{
    return zmalloc_get_private_dirty(-1);
}

static size_t field_of_smaps(void)
{
    static char name[] = "Size"; /* the rollup does not have it */
    return zmalloc_get_smap_bytes_by_field(name, -1);
}

/* The usual way: line by line. */
static size_t sum_by_lines(const char *path)
{
    static const char name[] = "Private_Dirty:";
    char line[1024];
    size_t sum = 0;
    FILE *smaps = open_or_die(path);
    while (fgets(line, sizeof(line), smaps) != NULL) {
        if (strncmp(line, name, sizeof(name) - 1) == 0) {
            sum += strtoull(line + sizeof(name) - 1, NULL, 10) * 1024;
        }
    }
    fclose(smaps);
    return sum;
}

static size_t field_by_lines(void)
{
    return sum_by_lines("/proc/self/smaps");
}

static size_t rollup_by_lines(void)
{
    return sum_by_lines("/proc/self/smaps_rollup");
}

static int count_mapping(const struct zmalloc_mapping *mapping, void *context)
{
    *(size_t *) context += mapping->count != 0;
    return 0;
}

static size_t mappings(void)
{
    size_t count = 0;
    zmalloc_mappings(-1, count_mapping, &count);
    return count;
}

static size_t report(void)
{
    struct zmalloc_report all = {.size = sizeof(all)};
    zmalloc_report(&all, 0);
    return all.rss;
}

static size_t report_with_walk(void)
{
    struct zmalloc_report all = {.size = sizeof(all)};
    zmalloc_report(&all, 1);
    return all.rss;
}

static const struct {
    const char *name;
    size_t (*ask)(void);
} questions[] = {
    {"rss", rss},
    {"rss_by_stat", rss_by_stat},
    {"field", field},
    {"field_of_smaps", field_of_smaps},
    {"field_by_lines", field_by_lines},
    {"rollup_by_lines", rollup_by_lines},
    {"mappings", mappings},
    {"report", report},
    {"report_with_walk", report_with_walk},
};

/* So that the allocator has something to report: blocks of a cache server, every third one freed. */
static void use_memory(void)
{
    enum { BLOCKS = 100000 };
    static void *blocks[BLOCKS];
    uint32_t state = 1;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = mixed_size(&state);
        blocks[i] = zmalloc(size);
        memset(blocks[i], 1, size);
    }
    for (size_t i = 0; i < BLOCKS; i += 3) {
        zfree(blocks[i]);
    }
}

/* The kernel works on the account of who asks, whatever else the machine has to do. */
static double seconds_of_processor(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: ask QUESTION TIMES MAPPINGS\n");
        return 2;
    }
    long times = number(argv[2], "TIMES");
    make_mappings(number(argv[3], "MAPPINGS"));
    if (strcmp(argv[1], "hold") == 0) {
        puts("ready");
        fflush(stdout);
        return getchar() == EOF ? 0 : 1;
    }
    use_memory();
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        if (strcmp(argv[1], questions[i].name) == 0) {
            size_t answers = questions[i].ask();
            double start = seconds_of_processor();
            for (long j = 0; j < times; j++) {
                answers += questions[i].ask();
            }
            printf("%.3f\n", (seconds_of_processor() - start) / (double) times * 1e6);
            return answers == 0;
        }
    }
    fprintf(stderr, "ask: no question '%s'\n", argv[1]);
    return 2;
}
