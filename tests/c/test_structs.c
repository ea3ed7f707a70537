/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs and a library of different versions: structs of other sizes, and arrays with too little room. It is run
 * on a library of a later version, too, in whose structs there is more (test_growth.py).
 */
#include "children.h"

/* A byte that no call writes by chance, many times over. */
enum { CANARY = 0xc5, CANARIES = 64 };

static void paint(void *bytes, size_t count)
{
    memset(bytes, CANARY, count);
}

static bool is_painted(const void *bytes, size_t count)
{
    const unsigned char *each = bytes;
    size_t i = 0;
    while (i < count && each[i] == CANARY) {
        i++;
    }
    return i == count;
}

/* The structs as version 0.2.0 had them, and one that a later version may have. */
struct first_report {
    size_t size;
    size_t levels[5];
    int64_t differences[4];
    size_t address_space[3];
    double ratios[2];
    size_t walk[5];
};

struct later_report {
    struct first_report known;
    size_t later[CANARIES];
};

struct first_limits {
    size_t size;
    size_t physical;
    size_t cgroup;
    size_t address_space;
    size_t data;
};

struct later_limits {
    struct first_limits known;
    size_t later[CANARIES];
};

_Static_assert(offsetof(struct first_report, walk[4]) == offsetof(struct zmalloc_report, huge_pages) &&
                   offsetof(struct first_limits, data) == offsetof(struct zmalloc_memory_limits, data),
               "fields are only added, and only at the end");
_Static_assert(offsetof(struct zmalloc_report, size) == 0 && offsetof(struct zmalloc_memory_limits, size) == 0 &&
                   offsetof(struct zmalloc_mapping, size) == 0,
               "the size comes first");

/* Where the last field ended: behind it may be padding. */
enum {
    FIRST_REPORT = offsetof(struct first_report, walk[4]) + sizeof(size_t),
    FIRST_LIMITS = offsetof(struct first_limits, data) + sizeof(size_t),
};

/* What is asked: a call that fills a struct, and how many bytes the struct had at first. */
static int report_quickly(void *report)
{
    return zmalloc_report(report, 0);
}

static int report_with_walk(void *report)
{
    return zmalloc_report(report, 1);
}

static int tell_limits(void *limits)
{
    return zmalloc_memory_limits(limits);
}

static const struct {
    int (*fill)(void *sized);
    size_t first;
    size_t now; /* what today's header has */
} calls[] = {
    {report_quickly, FIRST_REPORT, sizeof(struct zmalloc_report)},
    {report_with_walk, FIRST_REPORT, sizeof(struct zmalloc_report)},
    {tell_limits, FIRST_LIMITS, sizeof(struct zmalloc_memory_limits)},
};

/* Large enough for any of them, and as well aligned. */
union room {
    size_t size;
    struct later_report report;
    struct later_limits limits;
    unsigned char bytes[1024];
};

_Static_assert(sizeof(struct later_report) <= 1024 && sizeof(struct zmalloc_report) + CANARIES <= 1024,
               "there is room for canaries");

/* A program that was built with the first version's header has no room for more. */
static void test_a_struct_of_the_first_version(void **state)
{
    (void) state;
    for (size_t i = 0; i < LENGTH(calls); i++) {
        union room room;
        paint(&room, sizeof(room));
        room.size = calls[i].first;
        assert_int_equal(calls[i].fill(&room), 0);
        assert_int_equal(room.size, calls[i].first);
        assert_false(is_painted(room.bytes + calls[i].first - sizeof(size_t), sizeof(size_t)));
        assert_true(is_painted(room.bytes + calls[i].first, sizeof(room) - calls[i].first));
        /* As the call left it, it can be passed again. */
        assert_int_equal(calls[i].fill(&room), 0);
        assert_int_equal(room.size, calls[i].first);
        assert_true(is_painted(room.bytes + calls[i].first, sizeof(room) - calls[i].first));
    }
}

/* A program that was built with a later header. */
static void test_a_struct_of_a_later_version(void **state)
{
    (void) state;
    for (size_t i = 0; i < LENGTH(calls); i++) {
        const size_t sizes[] = {calls[i].now, calls[i].now + 1, sizeof(union room), SIZE_MAX};
        for (size_t j = 0; j < LENGTH(sizes); j++) {
            union room room;
            paint(&room, sizeof(room));
            room.size = sizes[j];
            assert_int_equal(calls[i].fill(&room), 0);
            assert_true(room.size >= calls[i].first && room.size <= sizes[j]);
            assert_false(is_painted(room.bytes + room.size - sizeof(size_t), sizeof(size_t)));
            assert_true(is_painted(room.bytes + room.size, sizeof(room) - room.size));
        }
    }
}

/* One that was never set, if it is not large by chance, or one of another struct. */
static void test_a_size_that_no_version_had(void **state)
{
    (void) state;
    for (size_t i = 0; i < LENGTH(calls); i++) {
        for (size_t size = 0; size < calls[i].first; size++) {
            union room room;
            paint(&room, sizeof(room));
            room.size = size;
            assert_int_equal(calls[i].fill(&room), -EINVAL);
            assert_int_equal(room.size, size);
            assert_true(is_painted(room.bytes + sizeof(size), sizeof(room) - sizeof(size)));
        }
        assert_int_equal(calls[i].fill(NULL), -EINVAL);
    }
}

static bool same_figure(size_t a, size_t b)
{
    return a == b && a != 0;
}

/* The figures are where the first version's programs look for them. */
static void test_figures_keep_their_places(void **state)
{
    (void) state;
    void *block = zmalloc(100000);
    struct first_report report = {.size = sizeof(report)};
    assert_int_equal(zmalloc_report((struct zmalloc_report *) (void *) &report, 1), 0);
    size_t used = zmalloc_used_memory();
    zfree(block);
    assert_int_equal(report.levels[0], used);
    double ratio = (double) report.levels[4] / (double) used;
    assert_true(report.ratios[0] > ratio * 0.999 && report.ratios[0] < ratio * 1.001);
    assert_true(report.walk[2] > 0 && report.walk[2] <= report.walk[1]);

    struct first_limits limits = {.size = sizeof(limits)};
    assert_int_equal(zmalloc_memory_limits((struct zmalloc_memory_limits *) (void *) &limits), 0);
    size_t physical = zmalloc_get_memory_size();
    assert_true(physical == 0 || same_figure(limits.physical, physical));
}

/* A later header's mapping, too: here, one with a field that the library does not know. */
static void test_has(void **state)
{
    (void) state;
    struct zmalloc_report report = {.size = sizeof(report)};
    assert_int_equal(zmalloc_report(&report, 0), 0);
    assert_true(ZMALLOC_HAS(&report, used) && ZMALLOC_HAS(&report, huge_pages));
    report.size = offsetof(struct zmalloc_report, swap) + sizeof(report.swap) - 1;
    assert_true(ZMALLOC_HAS(&report, private_dirty) && !ZMALLOC_HAS(&report, swap));
    report.size++;
    assert_true(ZMALLOC_HAS(&report, swap) && !ZMALLOC_HAS(&report, huge_pages));

    struct later_limits limits = {.known.size = sizeof(limits)};
    assert_int_equal(zmalloc_memory_limits((struct zmalloc_memory_limits *) (void *) &limits), 0);
    assert_true(limits.known.size >= FIRST_LIMITS && limits.known.size < sizeof(limits));
    for (size_t i = limits.known.size; i < sizeof(limits); i++) {
        assert_int_equal(((unsigned char *) &limits)[i], 0);
    }
}

static int look(const struct zmalloc_mapping *mapping, void *context)
{
    size_t *visits = context;
    ++*visits;
    bool whole = ZMALLOC_HAS(mapping, begin) && ZMALLOC_HAS(mapping, fields) && ZMALLOC_HAS(mapping, count);
    return !whole;
}

static void test_mappings_say_their_size(void **state)
{
    (void) state;
    size_t visits = 0;
    assert_int_equal(zmalloc_mappings(-1, look, &visits), 0);
    assert_true(visits > 3);
}

/* Fields. */

static struct zmalloc_field all[ZMALLOC_MOST_FIELDS];
static struct zmalloc_field some[ZMALLOC_MOST_FIELDS + 1];

static size_t ask_for_all(long pid)
{
    size_t count = LENGTH(all);
    assert_int_equal(zmalloc_smaps(pid, all, &count), 0);
    assert_true(count > 10 && count <= LENGTH(all));
    return count;
}

/* Of a child that does nothing, so that every answer is the same. */
static void test_fields_beyond_the_room(void **state)
{
    (void) state;
    pid_t child = start_child(nothing);
    size_t found = ask_for_all(child);
    for (size_t room = 0; room <= LENGTH(all); room++) {
        size_t fits = room < found ? room : found;
        size_t count = room;
        paint(some, sizeof(some));
        assert_int_equal(zmalloc_smaps(child, some, &count), room < found ? -ERANGE : 0);
        assert_int_equal(count, found);
        for (size_t i = 0; i < fits; i++) {
            assert_string_equal(some[i].name, all[i].name);
        }
        assert_true(is_painted(&some[fits], sizeof(some) - fits * sizeof(some[0])));
    }
    end_child(child);
}

static void test_fields_that_can_not_be_had(void **state)
{
    (void) state;
    size_t count = LENGTH(all);
    assert_int_equal(zmalloc_smaps(-1, NULL, &count), -EINVAL);
    assert_int_equal(count, 0);
    assert_int_equal(zmalloc_smaps(-1, all, NULL), -EINVAL);
    static const long nobody[] = {0, -2, INT32_MAX};
    for (size_t i = 0; i < LENGTH(nobody); i++) {
        count = 1;
        paint(some, sizeof(some));
        assert_int_equal(zmalloc_smaps(nobody[i], some, &count), nobody[i] > 0 ? -ESRCH : -EINVAL);
        assert_int_equal(count, 0);
        assert_true(is_painted(some, sizeof(some)));
    }
}

static const struct CMUnitTest tests[] = {
    tidy(test_a_struct_of_the_first_version), tidy(test_a_struct_of_a_later_version),
    tidy(test_a_size_that_no_version_had),    tidy(test_figures_keep_their_places),
    tidy(test_has),                           tidy(test_mappings_say_their_size),
    tidy(test_fields_beyond_the_room),        tidy(test_fields_that_can_not_be_had),
};

/* How many figures the library knows of that this program does not. */
static size_t later_figures(void)
{
    struct later_report report = {.known.size = sizeof(report)};
    zmalloc_report((struct zmalloc_report *) (void *) &report, 0);
    return (report.known.size - sizeof(struct zmalloc_report)) / sizeof(size_t);
}

int main(void)
{
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("later: %zu more figures\n", later_figures());
    return failed;
}
