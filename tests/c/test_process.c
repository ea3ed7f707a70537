/* SPDX-License-Identifier: BSD-3-Clause */
/* What the library says of processes, against readings of /proc made here in another way. */
#include "children.h"

#include <limits.h>
#include <sys/resource.h>

static char own[] = "Rss";

/* Figures of a living process move a little between two readings. */
static bool close_to(size_t a, size_t b, size_t tolerance)
{
    return (a > b ? a - b : b - a) <= tolerance;
}

enum { SMALLEST_SHAPE = 30 << 20 };

/* An emulator's own memory comes and goes beside ours. */
#define TOLERANCE ((size_t) (is_emulated() ? 8 << 20 : 512 << 10))

/* The plain way: a whole line at a time, from smaps alone. */
static bool plain_sum(const char *field, long pid, size_t *bytes)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/smaps", pid == -1 ? (long) getpid() : pid);
    FILE *smaps = fopen(path, "r");
    assert_non_null(smaps);
    size_t length = strlen(field);
    bool found = false;
    char *line = NULL;
    size_t capacity = 0;
    *bytes = 0;
    while (getline(&line, &capacity, smaps) > 0) {
        if (strncmp(line, field, length) == 0 && line[length] == ':') {
            found = true;
            *bytes += (size_t) strtoull(line + length + 1, NULL, 10) * 1024;
        }
    }
    free(line);
    fclose(smaps);
    return found;
}

static void test_rss(void **state)
{
    (void) state;
    enum { MORE = 32 << 20 };
    size_t rss = 1;
    size_t before;
    assert_int_equal(zmalloc_rss(&before), 0);
    char *pages = mmap(NULL, MORE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(pages, 1, MORE);
    assert_int_equal(zmalloc_rss(&rss), 0);
    assert_true(rss >= before + MORE - TOLERANCE && rss <= before + MORE + TOLERANCE);
    assert_true(close_to(rss, zmalloc_get_rss(), TOLERANCE));
    size_t plain;
    assert_true(plain_sum("Rss", -1, &plain));
    assert_true(close_to(rss, plain, 4 << 20));
    munmap(pages, MORE);
    assert_int_equal(zmalloc_rss(NULL), -EINVAL);
}

static void test_memory_size(void **state)
{
    (void) state;
    unsigned long long total_kb = 0;
    FILE *meminfo = fopen("/proc/meminfo", "r");
    assert_non_null(meminfo);
    assert_int_equal(fscanf(meminfo, "MemTotal: %llu kB", &total_kb), 1);
    fclose(meminfo);

    size_t bytes = 1;
    assert_int_equal(zmalloc_memory_size(NULL), -EINVAL);
    if (total_kb > SIZE_MAX / 1024) {
        assert_int_equal(zmalloc_memory_size(&bytes), -EOVERFLOW);
        assert_int_equal(bytes, 0);
        assert_int_equal(zmalloc_get_memory_size(), 0);
        return;
    }
    size_t total = (size_t) total_kb * 1024;
    assert_int_equal(zmalloc_memory_size(&bytes), 0);
    assert_int_equal(bytes, zmalloc_get_memory_size());
    assert_true(close_to(bytes, total, total / 20));
}

static void test_fields(void **state)
{
    (void) state;
    static const char *const names[] = {"Rss",          "Pss",  "Size",       "Private_Dirty", "Private_Clean",
                                        "Shared_Clean", "Swap", "Referenced", "Anonymous",     "KernelPageSize"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        char with_colon[32];
        snprintf(with_colon, sizeof(with_colon), "%s:", names[i]);
        size_t plain;
        size_t bare = 1;
        size_t colon = 1;
        assert_true(plain_sum(names[i], -1, &plain));
        assert_int_equal(zmalloc_smap_bytes_by_field(names[i], -1, &bare), 0);
        assert_int_equal(zmalloc_smap_bytes_by_field(with_colon, -1, &colon), 0);
        expect(close_to(bare, plain, TOLERANCE), names[i], bare);
        expect(close_to(colon, plain, TOLERANCE), with_colon, colon);
        expect(close_to(zmalloc_get_smap_bytes_by_field(with_colon, -1), plain, TOLERANCE), with_colon, colon);
        expect(close_to(zmalloc_get_smap_bytes_by_field(with_colon, getpid()), plain, TOLERANCE), with_colon, colon);
    }
}

/* "Pss" is not "Pss_Dirty": in test_fields their sums differ. What is no name at all is not found. */
static void test_a_name_is_matched_whole(void **state)
{
    (void) state;
    size_t bytes = 1;
    static const char *const unknown[] = {
        "Rs",       "ss",          "Private", "private_dirty", "Private_Dirty ", " Rss",
        "Rss::",    "Rss: ",       "R",       "VmFlags",       "Nonesuch",       "Private_Dirty:   1 kB",
        "Rss\nPss", "THPeligible", "00",      "a-z",           "Name",           "%s",
    };
    for (size_t i = 0; i < LENGTH(unknown); i++) {
        bytes = 1;
        expect(zmalloc_smap_bytes_by_field(unknown[i], -1, &bytes) == -ENOENT, unknown[i], i);
        expect(bytes == 0, unknown[i], i);
        expect(zmalloc_smap_bytes_by_field(unknown[i], getpid(), &bytes) == -ENOENT, unknown[i], i);
    }
}

static void test_bad_arguments(void **state)
{
    (void) state;
    size_t bytes = 1;
    static const long no_process[] = {0, -2, -5, LONG_MIN};
    static const char *const empty[] = {NULL, "", ":"};

    for (size_t i = 0; i < LENGTH(empty); i++) {
        bytes = 1;
        assert_int_equal(zmalloc_smap_bytes_by_field(empty[i], -1, &bytes), -EINVAL);
        assert_int_equal(bytes, 0);
    }
    assert_int_equal(zmalloc_get_smap_bytes_by_field(NULL, -1), 0);
    for (size_t i = 0; i < LENGTH(no_process); i++) {
        bytes = 1;
        assert_int_equal(zmalloc_smap_bytes_by_field("Rss", no_process[i], &bytes), -EINVAL);
        assert_int_equal(bytes, 0);
        bytes = 1;
        assert_int_equal(zmalloc_private_dirty(no_process[i], &bytes), -EINVAL);
        assert_int_equal(bytes, 0);
        assert_int_equal(zmalloc_get_private_dirty(no_process[i]), 0);
        assert_int_equal(zmalloc_get_smap_bytes_by_field(own, no_process[i]), 0);
    }
    assert_int_equal(zmalloc_smap_bytes_by_field("Rss", -1, NULL), -EINVAL);
    assert_int_equal(zmalloc_private_dirty(-1, NULL), -EINVAL);
}

enum { DIRTIED = 48 << 20 };

static void dirty_pages(void)
{
    char *pages = mmap(NULL, DIRTIED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        _exit(1);
    }
    memset(pages, 1, DIRTIED);
}

static void test_private_dirty_of_a_child(void **state)
{
    (void) state;
    pid_t idle = start_child(nothing);
    pid_t busy = start_child(dirty_pages);
    size_t of_idle;
    size_t of_busy;
    size_t old_call;
    size_t plain;
    assert_int_equal(zmalloc_private_dirty(idle, &of_idle), 0);
    /* Pages of a program that was just linked are dirty until the kernel has written them, at any moment. */
    for (int tries = 0; tries < 10; tries++) {
        assert_int_equal(zmalloc_private_dirty(busy, &of_busy), 0);
        assert_true(plain_sum("Private_Dirty", busy, &plain));
        old_call = zmalloc_get_private_dirty(busy);
        if (of_busy == plain && old_call == plain) {
            break;
        }
        sync();
    }
    end_child(idle);
    end_child(busy);

    size_t unrest = is_emulated() ? TOLERANCE : 0; /* a thread of the emulator's goes on */
    assert_true(close_to(of_busy, plain, unrest));
    assert_true(close_to(old_call, plain, unrest));
    assert_true(close_to(of_busy - of_idle, DIRTIED, TOLERANCE));
}

static void test_private_dirty_of_this_process(void **state)
{
    (void) state;
    size_t before = zmalloc_get_private_dirty(-1);
    size_t size = SMALLEST_SHAPE;
    char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(pages, 1, size);
    size_t after = zmalloc_get_private_dirty(-1);
    munmap(pages, size);
    assert_true(close_to(after - before, size, TOLERANCE));
}

static void check_mapped_file(const char *path)
{
    enum { MAPPED = 1 << 20 };
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, MAPPED), 0);
    void *pages = mmap(NULL, MAPPED, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);

    size_t dirty = 0;
    size_t mapped = 0;
    size_t plain_dirty = 0;
    size_t plain_mapped = 0;
    int error = zmalloc_private_dirty(-1, &dirty);
    int error_of_size = zmalloc_smap_bytes_by_field("Size", -1, &mapped);
    plain_sum("Private_Dirty", -1, &plain_dirty);
    plain_sum("Size", -1, &plain_mapped);
    munmap(pages, MAPPED);
    close(fd);
    unlink(path);

    assert_int_equal(error, 0);
    assert_int_equal(error_of_size, 0);
    expect(close_to(dirty, plain_dirty, TOLERANCE), path, dirty);
    expect(close_to(mapped, plain_mapped, TOLERANCE), path, mapped);
}

/* A mapped file may be called anything. Its name is in smaps, not in the rollup: "Size" is to be had there alone. */
static void test_forged_fields_in_a_files_name(void **state)
{
    (void) state;
    static const char *const names[] = {
        "Private_Dirty:   888888888 kB", "a\nPrivate_Dirty:   888888888 kB", "Private_Dirty:   888888888 kB\n",
        "Size:   888888888 kB",          "a\nSize:   888888888 kB",          "Size:   888888888 kB\n",
        " Size:   888888888 kB",
    };
    char folder[] = "/tmp/zmalloc-XXXXXX";
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < LENGTH(names); i++) {
        char path[200];
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        check_mapped_file(path);
    }
    /* At every distance from the start of the line, so that it lies across every border of a reader's buffer. */
    for (size_t length = 0; length < 150; length++) {
        char path[300];
        char padding[151] = {0};
        memset(padding, 'x', length);
        snprintf(path, sizeof(path), "%s/%s%s", folder, padding, names[3]);
        check_mapped_file(path);
    }
    rmdir(folder);
}

/* The fields after the process's name, whatever that is, read in one piece and split by hand. */
static long long plain_stat(int number)
{
    char text[4096];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    assert_true(length > 0);
    text[length] = '\0';
    if (number == 1) {
        return strtoll(text, NULL, 10);
    }
    char *end_of_name = text;
    for (char *c = text; *c != '\0'; c++) {
        end_of_name = *c == ')' ? c : end_of_name;
    }
    char *rest = NULL;
    char *word = strtok_r(end_of_name + 1, " \n", &rest);
    for (int i = 3; i < number; i++) {
        word = strtok_r(NULL, " \n", &rest);
    }
    assert_non_null(word);
    return strtoll(word, NULL, 10);
}

/* The numbers that hold still: ids, the terminal, the parent, the start time, the stack and code addresses. */
static void check_stat_fields(void)
{
    static const int steady[] = {1, 4, 5, 6, 7, 8, 18, 19, 20, 22, 28, 38, 40, 41, 46, 47, 48, 49, 50, 51, 52};
    for (size_t i = 0; i < LENGTH(steady); i++) {
        long long value = -42;
        expect(get_proc_stat_ll(steady[i], &value) == 1, "field", steady[i]);
        expect(value == plain_stat(steady[i]), "field", steady[i]);
    }
    long long value = 0;
    assert_int_equal(get_proc_stat_ll(1, &value), 1);
    assert_int_equal(value, getpid());
    assert_int_equal(get_proc_stat_ll(4, &value), 1);
    assert_int_equal(value, getppid());
    assert_int_equal(get_proc_stat_ll(24, &value), 1);
    assert_true(close_to((size_t) value, zmalloc_get_rss() / (size_t) sysconf(_SC_PAGESIZE), 300));

    static const int none[] = {0, -1, 2, 3, 53, 54, 1000, INT_MIN, INT_MAX};
    for (size_t i = 0; i < LENGTH(none); i++) {
        expect(get_proc_stat_ll(none[i], &value) == 0, "field", none[i]);
    }
    assert_int_equal(get_proc_stat_ll(1, NULL), 0);

    /* The limit of the resident set; without one the kernel says more than a long long can hold. */
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_RSS, &limit), 0);
    assert_int_equal(get_proc_stat_ll(25, &value), limit.rlim_cur != RLIM_INFINITY);
}

static void test_stat_fields(void **state)
{
    (void) state;
    skip_if_emulated("/proc/self/stat is not the kernel's");
    check_stat_fields();
}

static void test_stat_fields_of_a_process_with_a_strange_name(void **state)
{
    (void) state;
    static const char *const names[] = {"a) R 1\n2 (x",   ") S 7 7 7 7 7 7", "((((", "))))", "", " ",
                                        "1 2 3 4 5 6 7 8"};
    skip_if_emulated("/proc/self/stat is not the kernel's");
    char old[16];
    prctl(PR_GET_NAME, old);
    for (size_t i = 0; i < LENGTH(names); i++) {
        prctl(PR_SET_NAME, names[i]);
        check_stat_fields();
    }
    prctl(PR_SET_NAME, old);
}

static int pass(const struct zmalloc_mapping *mapping, void *context)
{
    (void) mapping;
    (void) context;
    return 0;
}

/* Nothing was left open: the next descriptor is the first again. */
static void check_first_is_free(void)
{
    check(open("/", O_RDONLY | O_CLOEXEC) == 0);
    close(0);
}

static void ask_without_descriptors(void)
{
    static struct zmalloc_field fields[ZMALLOC_MOST_FIELDS];
    struct zmalloc_memory_limits limits = {.size = sizeof(limits)};
    size_t bytes;
    size_t count = ZMALLOC_MOST_FIELDS;
    int mode;
    long long number;
    close(0);
    check(zmalloc_rss(&bytes) == 0 && bytes > 0);
    check_first_is_free();
    check(zmalloc_process_rss((long) getppid(), &bytes) == 0 && bytes > 0);
    check_first_is_free();
    check(zmalloc_smaps(-1, fields, &count) == 0 && count > 0);
    check_first_is_free();
    check(zmalloc_smap_bytes_by_field("Size", -1, &bytes) == 0 && bytes > 0);
    check_first_is_free();
    check(zmalloc_mappings(-1, pass, NULL) == 0);
    check_first_is_free();
    check(zmalloc_process_rss(LONG_MAX, &bytes) == -ESRCH); /* it looks at /proc itself */
    check_first_is_free();
    check(zmalloc_memory_limits(&limits) == 0);
    check_first_is_free();
    check(zmalloc_thp(&mode) == 0 || is_emulated());
    check_first_is_free();
    check(get_proc_stat_ll(1, &number) == 1 || is_emulated());
    check_first_is_free();
}

/* A process that has closed its standard input, as daemons may. */
static void test_descriptor_0_is_as_good_as_any(void **state)
{
    (void) state;
    run_in_child(ask_without_descriptors);
}

static const struct CMUnitTest tests[] = {
    balanced(test_rss),
    balanced(test_memory_size),
    balanced(test_fields),
    balanced(test_a_name_is_matched_whole),
    balanced(test_bad_arguments),
    balanced(test_private_dirty_of_a_child),
    balanced(test_private_dirty_of_this_process),
    balanced(test_forged_fields_in_a_files_name),
    balanced(test_stat_fields),
    balanced(test_stat_fields_of_a_process_with_a_strange_name),
    balanced(test_descriptor_0_is_as_good_as_any),
};

int main(void)
{
    sync(); /* pages of a program that was just built are dirty until the kernel has written them: then is now */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
