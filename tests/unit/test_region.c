/* SPDX-License-Identifier: BSD-3-Clause */
/* What macOS and FreeBSD share, on regions and records made up here: it can be tested on any system. */
#include "os/os.h"
#include "os/unix/region.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { PAGE = 16384 };

static uint64_t field(const struct zm_fields *fields, const char *name)
{
    const uint64_t *bytes = zm_fields_find(fields, name, strlen(name));
    assert_non_null(bytes);
    return *bytes;
}

static void test_permissions_are_four_letters(void **state)
{
    static const char *const words[] = {"---p", "r--p", "-w-p", "rw-p", "--xp", "r-xp", "-wxp", "rwxp",
                                        "---s", "r--s", "-w-s", "rw-s", "--xs", "r-xs", "-wxs", "rwxs"};
    (void) state;
    for (unsigned i = 0; i < LENGTH_OF(words); i++) {
        struct zm_mapping mapping;
        memset(&mapping, 'x', sizeof(mapping));
        zm_region_begin(&mapping, 0, PAGE, i);
        assert_string_equal(mapping.permissions, words[i]);
    }
}

static void test_only_a_file_has_an_offset(void **state)
{
    (void) state;
    struct zm_mapping mapping;
    zm_region_begin(&mapping, PAGE, 3 * PAGE, ZM_REGION_READ);
    assert_int_equal(mapping.offset, 0);
    assert_string_equal(mapping.path, "");
    zm_region_is_of_file(&mapping, "", 77);
    assert_int_equal(mapping.offset, 0);
    zm_region_is_of_file(&mapping, "/usr/lib/dyld", 4096);
    assert_int_equal(mapping.offset, 4096);
    assert_string_equal(mapping.path, "/usr/lib/dyld");
}

static void test_pages_become_bytes(void **state)
{
    (void) state;
    struct zm_mapping mapping;
    zm_region_begin(&mapping, UINT64_MAX - 2 * PAGE, UINT64_MAX, ZM_REGION_READ);
    zm_region_add(&mapping, "Rss", UINT32_MAX, PAGE);
    zm_region_add(&mapping, "Swap", 0, PAGE);
    zm_region_add(&mapping, "Large", UINT64_MAX / 2, PAGE);
    zm_region_add(&mapping, "Largest", UINT64_MAX / PAGE, PAGE);
    zm_region_add(&mapping, "Larger", UINT64_MAX / PAGE + 1, PAGE);
    assert_int_equal(mapping.fields.count, 6);
    assert_int_equal(field(&mapping.fields, "Size"), 2 * PAGE);
    assert_int_equal(field(&mapping.fields, "Rss"), (uint64_t) UINT32_MAX * PAGE);
    assert_int_equal(field(&mapping.fields, "Swap"), 0);
    assert_int_equal(field(&mapping.fields, "Large"), UINT64_MAX);
    assert_int_equal(field(&mapping.fields, "Largest"), UINT64_MAX / PAGE * PAGE);
    assert_int_equal(field(&mapping.fields, "Larger"), UINT64_MAX);
    zm_region_begin(&mapping, 0, PAGE, 0);
    assert_int_equal(mapping.fields.count, 1);
}

/* A process with one region in each part of its addresses, the highest ones included. */
struct region {
    uint64_t begin;
    uint64_t size;
    uint32_t resident;
    uint32_t dirty;
};

static const struct region regions[] = {
    {0x100000000, 2 * PAGE, 2, 0},                  /* the program */
    {0x100008000, 4 * PAGE, 4, 3},                  /* its data, adjacent */
    {0x16f604000, 512 * PAGE, 7, 7},                /* a stack */
    {0x180000000, (uint64_t) 1 << 32, 0, 0},        /* the libraries that all share */
    {0x600000000000, (uint64_t) 1 << 29, 300, 299}, /* a heap */
    {0x8000000000000000, PAGE, 1, 1},               /* where a signed address is negative */
    {0xffffffffffffc000, PAGE, 1, 0},               /* the last page: its end is 0 */
};

struct process {
    size_t count; /* how many regions are seen before the error */
    int error;    /* or 0 */
    size_t questions;
    uint64_t asked; /* the last address */
};

static int find(void *context, uint64_t address, struct zm_mapping *mapping)
{
    struct process *process = context;
    process->questions++;
    process->asked = address;
    size_t i = 0;
    while (i < LENGTH_OF(regions) && address > regions[i].begin + (regions[i].size - 1)) {
        i++;
    }
    if (i >= process->count) {
        return process->error;
    }
    zm_region_begin(mapping, regions[i].begin, regions[i].begin + regions[i].size, ZM_REGION_READ | ZM_REGION_WRITE);
    zm_region_add(mapping, "Rss", regions[i].resident, PAGE);
    zm_region_add(mapping, "Private_Dirty", regions[i].dirty, PAGE);
    return 1;
}

struct visits {
    size_t count;
    size_t enough_at;
    struct zm_fields sums;
};

static int visit(const struct zm_mapping *mapping, void *context)
{
    struct visits *visits = context;
    assert_int_equal(mapping->begin, regions[visits->count].begin);
    zm_fields_add_all(&visits->sums, &mapping->fields);
    return ++visits->count == visits->enough_at ? 5 : 0;
}

static void test_every_address_is_visited(void **state)
{
    (void) state;
    struct process process = {.count = LENGTH_OF(regions)};
    struct visits visits = {.count = 0};
    assert_int_equal(zm_region_visit_all(find, &process, visit, &visits), 0);
    assert_int_equal(visits.count, LENGTH_OF(regions));
    assert_int_equal(process.questions, LENGTH_OF(regions));
    assert_int_equal(field(&visits.sums, "Rss"), (2 + 4 + 7 + 300 + 1 + 1) * PAGE);
    assert_int_equal(field(&visits.sums, "Private_Dirty"), (3 + 7 + 299 + 1) * PAGE);
    assert_int_equal(field(&visits.sums, "Size"),
                     (2 + 4 + 512 + 1 + 1) * PAGE + ((uint64_t) 1 << 32) + ((uint64_t) 1 << 29));
}

static void test_the_sum_leaves_the_kernels_rss(void **state)
{
    (void) state;
    struct process process = {.count = LENGTH_OF(regions)};
    struct zm_fields sums = {.count = 0};
    zm_fields_add(&sums, "Rss", strlen("Rss"), 12345);
    assert_int_equal(zm_region_visit_all(find, &process, zm_region_sum, &sums), 0);
    assert_int_equal(sums.count, 3);
    assert_int_equal(field(&sums, "Rss"), 12345);
    assert_int_equal(field(&sums, "Private_Dirty"), (3 + 7 + 299 + 1) * PAGE);
    assert_int_equal(field(&sums, "Size"),
                     (2 + 4 + 512 + 1 + 1) * PAGE + ((uint64_t) 1 << 32) + ((uint64_t) 1 << 29));
}

static void test_the_end_is_where_no_region_is_above(void **state)
{
    (void) state;
    struct process process = {.count = 3};
    struct visits visits = {.count = 0};
    assert_int_equal(zm_region_visit_all(find, &process, visit, &visits), 0);
    assert_int_equal(visits.count, 3);
    assert_int_equal(process.questions, 4);
    assert_int_equal(process.asked, regions[2].begin + regions[2].size);
}

static void test_a_process_without_regions_is_none(void **state)
{
    (void) state;
    struct process process = {.count = 0};
    struct visits visits = {.count = 0};
    assert_int_equal(zm_region_visit_all(find, &process, visit, &visits), -ESRCH);
    assert_int_equal(visits.count, 0);
}

static void test_an_error_ends_it_first_and_midway(void **state)
{
    (void) state;
    for (size_t before = 0; before < LENGTH_OF(regions); before++) {
        struct process process = {.count = before, .error = before == 0 ? -EACCES : -ESRCH};
        struct visits visits = {.count = 0};
        assert_int_equal(zm_region_visit_all(find, &process, visit, &visits), process.error);
        assert_int_equal(visits.count, before);
    }
}

static void test_the_visitor_may_have_enough(void **state)
{
    (void) state;
    for (size_t enough = 1; enough <= LENGTH_OF(regions); enough++) {
        struct process process = {.count = LENGTH_OF(regions)};
        struct visits visits = {.enough_at = enough};
        assert_int_equal(zm_region_visit_all(find, &process, visit, &visits), 5);
        assert_int_equal(process.questions, enough);
    }
}

/* A kernel that tells the same region whatever it is asked. */
static int find_the_same(void *context, uint64_t address, struct zm_mapping *mapping)
{
    (void) address;
    ++*(size_t *) context;
    zm_region_begin(mapping, PAGE, 2 * PAGE, 0);
    return 1;
}

static int count(const struct zm_mapping *mapping, void *context)
{
    (void) mapping;
    ++*(size_t *) context;
    return 0;
}

static void test_it_ends_though_no_region_is_above(void **state)
{
    (void) state;
    size_t questions = 0;
    size_t visits = 0;
    assert_int_equal(zm_region_visit_all(find_the_same, &questions, count, &visits), 0);
    assert_int_equal(questions, 2);
}

/* Puts a record of that size, filled with its number; returns the offset of the next. */
static size_t put(char *records, size_t offset, int size, int tell, char number)
{
    memset(records + offset, number, (size_t) size);
    memcpy(records + offset, &tell, sizeof(tell));
    return offset + (size_t) size;
}

enum { LEAST = 16 };

static void test_records_of_any_length(void **state)
{
    (void) state;
    char records[200];
    size_t length = put(records, 0, 40, 40, 1);
    length = put(records, length, LEAST, LEAST, 2);
    length = put(records, length, 104, 104, 3);
    size_t offset = 0;
    for (char number = 1; number <= 3; number++) {
        const char *record = zm_region_next_record(records, length, &offset, LEAST);
        assert_non_null(record);
        assert_int_equal(record[sizeof(int)], number);
    }
    assert_int_equal(offset, length);
    assert_null(zm_region_next_record(records, length, &offset, LEAST));
    assert_int_equal(offset, length);
}

static void test_records_that_are_not_whole(void **state)
{
    (void) state;
    static const int told[] = {0, -1, INT32_MIN, 1, LEAST - 1, 41, INT32_MAX};
    for (size_t i = 0; i < LENGTH_OF(told); i++) {
        char records[80];
        size_t length = put(records, 0, 40, 40, 1);
        put(records, length, 40, told[i], 2);
        size_t offset = 0;
        assert_non_null(zm_region_next_record(records, sizeof(records), &offset, LEAST));
        assert_null(zm_region_next_record(records, sizeof(records), &offset, LEAST));
        assert_int_equal(offset, 40);
    }
    char whole[40];
    put(whole, 0, 40, 40, 1);
    for (size_t length = 1; length < sizeof(whole); length++) {
        char *cut = malloc(length);
        assert_non_null(cut);
        memcpy(cut, whole, length);
        size_t offset = 0;
        assert_null(zm_region_next_record(cut, length, &offset, LEAST));
        free(cut);
    }
}

/* In a child, whose parent still has what was in the pages. */
static bool discarded_reads_as_zero(char *pages, size_t page)
{
    pages[page] = 'y';
    zm_os_discard(pages + page, 2 * page);
    unsigned char resident[4];
    if (mincore(pages, 4 * page, (void *) resident) != 0 || (resident[1] & 1) != 0 || (resident[2] & 1) != 0) {
        return false;
    }
    for (size_t i = 0; i < 4 * page; i++) {
        bool is_inside = i >= page && i < 3 * page;
        if (pages[i] != (is_inside ? 0 : 'x')) {
            return false;
        }
    }
    memset(pages, 'z', 4 * page);
    return true;
}

static void test_discarded_pages_read_as_zero_in_a_child(void **state)
{
    (void) state;
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    memset(pages, 'x', 4 * page);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(discarded_reads_as_zero(pages, page) ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(pages[page], 'x');
    munmap(pages, 4 * page);
}

/* An address that can't be mapped at: what is there is at least zeroed. */
static void test_discarding_never_leaves_what_was_there(void **state)
{
    (void) state;
    char bytes[300];
    memset(bytes, 'x', sizeof(bytes));
    size_t odd = (uintptr_t) bytes % 2 == 0 ? 1 : 0;
    zm_os_discard(bytes + odd, 100);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        assert_int_equal(bytes[i], i >= odd && i < odd + 100 ? 0 : 'x');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permissions_are_four_letters),
        cmocka_unit_test(test_only_a_file_has_an_offset),
        cmocka_unit_test(test_pages_become_bytes),
        cmocka_unit_test(test_every_address_is_visited),
        cmocka_unit_test(test_the_sum_leaves_the_kernels_rss),
        cmocka_unit_test(test_the_end_is_where_no_region_is_above),
        cmocka_unit_test(test_a_process_without_regions_is_none),
        cmocka_unit_test(test_an_error_ends_it_first_and_midway),
        cmocka_unit_test(test_the_visitor_may_have_enough),
        cmocka_unit_test(test_it_ends_though_no_region_is_above),
        cmocka_unit_test(test_records_of_any_length),
        cmocka_unit_test(test_records_that_are_not_whole),
        cmocka_unit_test(test_discarded_pages_read_as_zero_in_a_child),
        cmocka_unit_test(test_discarding_never_leaves_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
