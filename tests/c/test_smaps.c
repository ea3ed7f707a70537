/* SPDX-License-Identifier: BSD-3-Clause */
/* A stopped child of known shape: every mapping and every field, against a plain reading of what the kernel says. */
#include "mapping_copies.h"

#include <fcntl.h>
#include <sys/syscall.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* The regions that the child makes. */
enum {
    DIRTIED = 6 * MIB,
    SHARED = 3 * MIB,
    WITH_PARENT = 2 * MIB,
    FILE_SIZE = 4 * MIB,
    FILE_DIRTIED = 1 * MIB,
    HUGE_PAGE = 2 * MIB,
    HUGE = 3 * HUGE_PAGE,
    FREED = 1 * MIB,
    LOCKED = 16 << 10,
    PAGED_OUT = 2 * MIB
};

static struct shape {
    char *dirtied;
    char *shared;
    char *with_parent;
    char *clean_file;
    char *dirty_file;
    char *huge;
    char *freed;
    char *locked;
    char *paged_out;
    char *named;
} * shape;

static char folder[] = "/tmp/zmalloc-XXXXXX";
static char file[64];

static const char forged[] = "a\nPrivate_Dirty:   888888888 kB\nRss:   7 kB";

static char *map(size_t size, int flags, int fd, off_t offset)
{
    char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, offset);
    if (pages == MAP_FAILED) {
        perror("mmap");
        _exit(1);
    }
    return pages;
}

static char *map_dirtied(size_t size, int flags)
{
    char *pages = map(size, flags | MAP_ANONYMOUS, -1, 0);
    memset(pages, 1, size);
    return pages;
}

static unsigned read_all(const char *pages, size_t size)
{
    unsigned sum = 0;
    for (size_t i = 0; i < size; i += 4096) {
        sum += (unsigned char) ((volatile const char *) pages)[i];
    }
    return sum;
}

static void take_shape(void)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);
    shape->dirtied = map_dirtied(DIRTIED, MAP_PRIVATE);
    shape->shared = map_dirtied(SHARED, MAP_SHARED);
    memset(shape->with_parent, 2, WITH_PARENT);

    shape->clean_file = mmap(NULL, FILE_SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
    read_all(shape->clean_file, FILE_SIZE);
    shape->dirty_file = map(FILE_DIRTIED, MAP_PRIVATE, fd, FILE_DIRTIED);
    memset(shape->dirty_file, 3, FILE_DIRTIED);

    shape->huge = map(HUGE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(shape->huge, HUGE, MADV_HUGEPAGE);
    memset(shape->huge, 1, HUGE);

    shape->freed = map_dirtied(FREED, MAP_PRIVATE);
    madvise(shape->freed, FREED, MADV_FREE);
    shape->locked = map_dirtied(LOCKED, MAP_PRIVATE);
    syscall(SYS_mlock, shape->locked, (size_t) LOCKED); /* AddressSanitizer's does nothing */
    shape->paged_out = map_dirtied(PAGED_OUT, MAP_PRIVATE);
#ifdef MADV_PAGEOUT
    madvise(shape->paged_out, PAGED_OUT, MADV_PAGEOUT);
#endif
    /* A name of memory may be almost anything as well. */
    shape->named = map_dirtied(LOCKED, MAP_PRIVATE);
    prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, shape->named, LOCKED, "Private_Dirty:   888888888 kB");
    mprotect(shape->named, LOCKED / 2, PROT_NONE);
}

static void make_file(void)
{
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/%s", folder, forged);
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (size_t written = 0; written < FILE_SIZE; written += 4096) {
        char page[4096] = {1};
        assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
    }
    fsync(fd);
    close(fd);
}

static pid_t start_stopped_child(void)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        take_shape();
        raise(SIGSTOP);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    return child;
}

static char *read_text(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, name);
    FILE *from = fopen(path, "r");
    if (from == NULL) {
        return NULL;
    }
    char *text = NULL;
    size_t length = 0;
    assert_true(getdelim(&text, &length, '\0', from) > 0);
    fclose(from);
    return text;
}

static void add_field(struct figures *figures, const char *name, size_t bytes)
{
    size_t i = 0;
    while (i < figures->count && strcmp(figures->all[i].name, name) != 0) {
        i++;
    }
    if (i == figures->count) {
        assert_true(i < ZMALLOC_MOST_FIELDS);
        figures->count++;
        snprintf(figures->all[i].name, sizeof(figures->all[i].name), "%s", name);
        figures->all[i].bytes = 0;
    }
    figures->all[i].bytes += bytes;
}

static const size_t *find_field(const struct figures *figures, const char *name)
{
    for (size_t i = 0; i < figures->count; i++) {
        if (strcmp(figures->all[i].name, name) == 0) {
            return &figures->all[i].bytes;
        }
    }
    return NULL;
}

/* The plain way: a whole line at a time, taken apart by sscanf. */
static void read_plainly(const char *text, struct process *process)
{
    FILE *lines = fmemopen((char *) (uintptr_t) text, strlen(text), "r");
    assert_non_null(lines);
    char *line = NULL;
    size_t capacity = 0;
    process->count = 0;
    while (getline(&line, &capacity, lines) > 0) {
        unsigned long long begin;
        unsigned long long end;
        unsigned long long offset;
        unsigned long long kilobytes;
        char permissions[8];
        char name[ZMALLOC_LONGEST_FIELD + 1];
        int length = 0;
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%llx-%llx %7s %llx %*x:%*x %*u %n", &begin, &end, permissions, &offset, &length) == 4) {
            assert_true(process->count < MOST_MAPPINGS);
            struct mapping *mapping = &process->mappings[process->count++];
            *mapping = (struct mapping){.begin = begin, .end = end, .offset = offset};
            memcpy(mapping->permissions, permissions, sizeof(permissions));
            snprintf(mapping->path, sizeof(mapping->path), "%s", line + length);
        } else if (sscanf(line, "%31[^:]: %llu kB%n", name, &kilobytes, &length) == 2 && length > 0) {
            assert_true(process->count > 0);
            add_field(&process->mappings[process->count - 1].fields, name, (size_t) kilobytes * 1024);
        }
    }
    free(line);
    fclose(lines);
}

static bool same_fields(const struct figures *a, const struct figures *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = strcmp(a->all[i].name, b->all[i].name) == 0 && a->all[i].bytes == b->all[i].bytes;
        if (!same) {
            print_message("%s: %zu bytes, %s: %zu bytes\n", a->all[i].name, a->all[i].bytes, b->all[i].name,
                          b->all[i].bytes);
        }
    }
    return same;
}

static bool same_mapping(const struct mapping *a, const struct mapping *b)
{
    return a->begin == b->begin && a->end == b->end && a->offset == b->offset &&
           strcmp(a->permissions, b->permissions) == 0 && strcmp(a->path, b->path) == 0 &&
           same_fields(&a->fields, &b->fields);
}

static bool same_process(const struct process *a, const struct process *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = same_mapping(&a->mappings[i], &b->mappings[i]);
        if (!same) {
            print_message("mapping %zu: %s, %s\n", i, a->mappings[i].path, b->mappings[i].path);
        }
    }
    return same;
}

static void sum_up(const struct process *process, struct figures *sums)
{
    sums->count = 0;
    for (size_t i = 0; i < process->count; i++) {
        const struct figures *fields = &process->mappings[i].fields;
        for (size_t f = 0; f < fields->count; f++) {
            add_field(sums, fields->all[f].name, fields->all[f].bytes);
        }
    }
}

static struct process ours;

/* What both sides said, of a moment in which nothing moved. */
static struct process plain;
static struct process plain_rollup;
static struct figures plain_sums;
static struct figures all_sums;
static struct figures each_sum;

static void ask(pid_t child)
{
    ours.count = 0;
    assert_int_equal(zmalloc_mappings(child, collect, &ours), 0);
    all_sums.count = LENGTH(all_sums.all);
    assert_int_equal(zmalloc_smaps(child, all_sums.all, &all_sums.count), 0);
    each_sum = plain_sums;
    for (size_t i = 0; i < each_sum.count; i++) {
        each_sum.all[i].bytes = 1;
        assert_int_equal(zmalloc_smap_bytes_by_field(each_sum.all[i].name, child, &each_sum.all[i].bytes), 0);
    }
}

static bool all_the_same(void)
{
    const struct figures *rollup = plain_rollup.count > 0 ? &plain_rollup.mappings[0].fields : &plain_sums;
    for (size_t i = 0; i < plain_sums.count; i++) {
        const size_t *of_rollup = find_field(rollup, plain_sums.all[i].name);
        plain_sums.all[i].bytes = of_rollup != NULL ? *of_rollup : plain_sums.all[i].bytes;
    }
    return same_process(&ours, &plain) && same_fields(&all_sums, rollup) && same_fields(&each_sum, &plain_sums);
}

/* Other processes come and go, and with them what is shared: then it is tried again. */
static bool ask_and_compare(pid_t child)
{
    char *smaps = read_text(child, "smaps");
    char *rollup = read_text(child, "smaps_rollup");
    read_plainly(smaps, &plain);
    sum_up(&plain, &plain_sums);
    plain_rollup.count = 0;
    if (rollup != NULL) {
        read_plainly(rollup, &plain_rollup);
    }
    free(smaps);
    free(rollup);
    ask(child);
    return all_the_same();
}

static void prepare(void)
{
    make_file();
    shape = (struct shape *) (void *) map(sizeof(*shape), MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shape->with_parent = map_dirtied(WITH_PARENT, MAP_SHARED);
}

static void clean_up(void)
{
    munmap(shape->with_parent, WITH_PARENT);
    munmap(shape, sizeof(*shape));
    unlink(file);
    rmdir(folder);
}

static const struct mapping *mapping_at(const char *address)
{
    for (size_t i = 0; i < ours.count; i++) {
        if (ours.mappings[i].begin <= (uintptr_t) address && (uintptr_t) address < ours.mappings[i].end) {
            return &ours.mappings[i];
        }
    }
    fail_msg("no mapping at %p", (const void *) address);
    return NULL;
}

static size_t bytes_of(const struct mapping *mapping, const char *name)
{
    const size_t *bytes = find_field(&mapping->fields, name);
    assert_non_null(bytes);
    return *bytes;
}

static bool huge_pages_are_to_be_had(void)
{
    int mode = 0;
    return zmalloc_thp(&mode) == 0 && mode > 0;
}

static bool has_swap(void)
{
    FILE *swaps = fopen("/proc/swaps", "r");
    if (swaps == NULL) {
        return false;
    }
    int lines = 0;
    for (int c; (c = fgetc(swaps)) != EOF;) {
        lines += c == '\n';
    }
    fclose(swaps);
    return lines > 1;
}

/* Not only alike in both readings, but what the child did. */
static void check_shape(void)
{
    const struct mapping *dirtied = mapping_at(shape->dirtied);
    assert_true(bytes_of(dirtied, "Private_Dirty") >= DIRTIED);
    assert_true(bytes_of(dirtied, "Anonymous") >= DIRTIED);
    assert_int_equal(strncmp(dirtied->permissions, "rw-p", 4), 0);

    const struct mapping *shared = mapping_at(shape->shared);
    assert_int_equal(bytes_of(shared, "Rss"), SHARED);
    assert_string_equal(shared->permissions, "rw-s");
    const struct mapping *with_parent = mapping_at(shape->with_parent);
    assert_int_equal(bytes_of(with_parent, "Shared_Dirty"), WITH_PARENT);
    assert_int_equal(bytes_of(with_parent, "Pss"), WITH_PARENT / 2);

    const struct mapping *clean = mapping_at(shape->clean_file);
    /* The kernel may take clean pages back at any time, and did so now and then. */
    assert_true(bytes_of(clean, "Rss") >= FILE_SIZE - FILE_SIZE / 8 && bytes_of(clean, "Rss") <= FILE_SIZE);
    assert_int_equal(bytes_of(clean, "Anonymous"), 0);
    assert_string_equal(clean->permissions, "r--p");
    assert_non_null(strstr(clean->path, "a\\012Private_Dirty:   888888888 kB\\012Rss:   7 kB"));
    const struct mapping *dirty = mapping_at(shape->dirty_file);
    assert_int_equal(bytes_of(dirty, "Private_Dirty"), FILE_DIRTIED);
    assert_int_equal(dirty->offset, FILE_DIRTIED);

    const struct mapping *huge = mapping_at(shape->huge + HUGE_PAGE);
    assert_true(bytes_of(huge, "Rss") >= HUGE_PAGE);
    if (!huge_pages_are_to_be_had() || bytes_of(huge, "AnonHugePages") == 0) {
        print_message("no huge pages here: AnonHugePages was compared at 0\n");
    }
    assert_true(bytes_of(mapping_at(shape->locked), "Locked") >= LOCKED);
    if (!has_swap()) {
        print_message("no swap here: Swap was compared at 0\n");
    }
    assert_string_equal(mapping_at(shape->named)->permissions, "---p");
}

static void test_child_of_known_shape(void **state)
{
    (void) state;
    enum { TRIES = 200 };
    prepare();
    pid_t child = start_stopped_child();
    int tries = 1;
    while (!ask_and_compare(child) && tries < TRIES) {
        tries++;
    }
    end_child(child);
    assert_true(tries < TRIES);
    check_shape();
    assert_true(plain_sums.count >= 10 && *find_field(&plain_sums, "Private_Dirty") < (size_t) 888888888 * 1024);
    clean_up();
}

static const struct CMUnitTest tests[] = {
    tidy(test_child_of_known_shape),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
