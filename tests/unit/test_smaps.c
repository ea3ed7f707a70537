/* SPDX-License-Identifier: BSD-3-Clause */
/* Which lines of smaps are read, and which are known from the mapping before; and how many of them are kept. */
#include "os/linux/smaps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct {
    struct zm_smaps smaps;
    char behind[16];
} parser;

static zm_line_reader *reader;
static size_t lines_read;
static struct zm_fields found;

static int count_and_read(void *context, const char *line, size_t length)
{
    lines_read++;
    return reader(context, line, length);
}

static int note(const struct zm_mapping *mapping, void *context)
{
    (void) context;
    found = mapping->fields;
    return 0;
}

static int begin(void **state)
{
    (void) state;
    memset(&parser, 0, sizeof(parser));
    zm_smaps_begin(&parser.smaps, note, NULL);
    reader = parser.smaps.lines.read;
    parser.smaps.lines.read = count_and_read;
    return 0;
}

static void put(const char *text)
{
    assert_int_equal(zm_smaps_put(&parser.smaps, text, strlen(text)), 0);
}

/* How many of a mapping's fields had to be read. */
static size_t read_mapping(const char *fields)
{
    put("1000-2000 rw-p 0 0:0 0 \n");
    lines_read = 0;
    put(fields);
    return lines_read;
}

static void check_fields(size_t count, const char *const *names, const uint64_t *kilobytes)
{
    assert_int_equal(zm_smaps_end(&parser.smaps), 0);
    assert_int_equal(found.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(found.all[i].name, names[i]);
        assert_int_equal(found.all[i].bytes, 1024 * kilobytes[i]);
    }
}

static const char *const names[] = {"Size", "Rss", "Pss", "Swap"};

static void lines_as_before_are_not_read(void **state)
{
    (void) state;
    static const char text[] = "Size: 4 kB\nRss: 3 kB\nPss: 2 kB\nSwap: 0 kB\n";
    assert_int_equal(read_mapping(text), 4);
    assert_int_equal(read_mapping(text), 0);
    assert_int_equal(read_mapping(text), 0);
    check_fields(4, names, (const uint64_t[]){4, 3, 2, 0});
    assert_int_equal(read_mapping("Size: 4 kB\nRss: 3 kB\n"), 0);
    check_fields(2, names, (const uint64_t[]){4, 3});
    assert_int_equal(read_mapping(text), 0);
    check_fields(4, names, (const uint64_t[]){4, 3, 2, 0});
}

static void another_line_of_that_length_leaves_those_behind_it(void **state)
{
    (void) state;
    assert_int_equal(read_mapping("Size: 4 kB\nRss: 3 kB\nPss: 2 kB\nSwap: 0 kB\n"), 4);
    assert_int_equal(read_mapping("Size: 4 kB\nRss: 1 kB\nPss: 2 kB\nSwap: 9 kB\n"), 2);
    check_fields(4, names, (const uint64_t[]){4, 1, 2, 9});
    assert_int_equal(read_mapping("Size: 4 kB\nRss: 1 kB\nPss: 2 kB\nSwap: 9 kB\n"), 0);
    check_fields(4, names, (const uint64_t[]){4, 1, 2, 9});
}

/* By one character or two, more or fewer: those behind it have to be kept anew. */
static void one_of_another_length_moves_them(void **state)
{
    (void) state;
    static const uint64_t numbers[] = {55555, 666, 7, 88, 9999, 111, 2};
    char text[128];
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        snprintf(text, sizeof(text), "Size: 4 kB\nRss: %u kB\nPss: 2 kB\nSwap: 0 kB\n", (unsigned) numbers[i]);
        assert_int_equal(read_mapping(text), i == 0 ? 4 : 3);
        check_fields(4, names, (const uint64_t[]){4, numbers[i], 2, 0});
        assert_int_equal(read_mapping(text), 0);
        check_fields(4, names, (const uint64_t[]){4, numbers[i], 2, 0});
    }
}

/* A line that goes on where the kept one ends is another line. */
static void a_kept_line_is_no_more_than_itself(void **state)
{
    (void) state;
    static const uint64_t numbers[] = {1, 222};
    char text[128];
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        snprintf(text, sizeof(text), "Size: 4 kB\nRss: %u kB\nPss: 2 kB\n", (unsigned) numbers[i]);
        read_mapping(text);
    }
    assert_int_equal(read_mapping("Size: 4 kB\nRss: 222 kX\nPss: 2 kB\n"), 2);
    check_fields(2, (const char *const[]){"Size", "Pss"}, (const uint64_t[]){4, 2});
}

/* Where there is no room for a longer line, those that were kept from there on are forgotten. */
static void a_line_that_is_too_long_is_not_the_one_before(void **state)
{
    (void) state;
    char text[2 * sizeof(parser.smaps.kept.text)];
    assert_int_equal(read_mapping("Size: 4 kB\nRss: 3 kB\nPss: 2 kB\n"), 3);
    snprintf(text, sizeof(text), "Size: 4 kB\nRss:%*s kB\nPss: 2 kB\n", (int) sizeof(parser.smaps.kept.text), "9");
    assert_int_equal(read_mapping(text), 2);
    check_fields(3, names, (const uint64_t[]){4, 9, 2});
    assert_int_equal(read_mapping("Size: 4 kB\nRss: 3 kB\nPss: 2 kB\n"), 2);
    check_fields(3, names, (const uint64_t[]){4, 3, 2});
}

/* Names that came behind one that changed may be there before it by now. */
static void lines_behind_another_name_are_read(void **state)
{
    (void) state;
    assert_int_equal(read_mapping("Size: 4 kB\nRss: 3 kB\nPss: 2 kB\n"), 3);
    assert_int_equal(read_mapping("Size: 4 kB\nPss: 2 kB\n"), 1);
    assert_int_equal(read_mapping("Size: 4 kB\nPss: 2 kB\nPss: 2 kB\n"), 1);
    check_fields(2, (const char *const[]){"Size", "Pss"}, (const uint64_t[]){4, 4});
}

/* What lies behind a piece is no part of it, though it goes on as the mapping before did. */
static void a_piece_ends_where_it_ends(void **state)
{
    static const char before[] = "Size: 4 kB\nRss: 3 kB\nPss: 2 kB\n";
    static const char other[] = "Size: 5 kB\nRss: 6 kB\nPss: 7 kB\n";
    for (size_t cut = 0; cut < sizeof(before); cut++) {
        char both[sizeof(before)];
        memcpy(both, before, cut);
        memcpy(both + cut, other + cut, sizeof(both) - cut);
        begin(state);
        read_mapping(before);
        put("1000-2000 rw-p 0 0:0 0 \n");
        assert_int_equal(zm_smaps_put(&parser.smaps, before, cut), 0);
        put(both + cut);
        unsigned numbers[3];
        assert_int_equal(sscanf(both, "Size: %u kB Rss: %u kB Pss: %u", &numbers[0], &numbers[1], &numbers[2]), 3);
        check_fields(3, names, (const uint64_t[]){numbers[0], numbers[1], numbers[2]});
    }
}

/* A field that is there twice is the sum of two lines. */
static void two_lines_of_a_field_are_read(void **state)
{
    (void) state;
    static const char text[] = "Size: 4 kB\nRss: 3 kB\nSize: 4 kB\nPss: 2 kB\n";
    for (int i = 0; i < 3; i++) {
        assert_int_equal(read_mapping(text), 4);
        check_fields(3, names, (const uint64_t[]){8, 3, 2});
    }
}

/* A line of so many characters, its newline among them, that is as the one before. */
static size_t read_long_lines(size_t length, size_t times)
{
    static char text[4 * sizeof(parser.smaps.kept.text)];
    char *end = text;
    for (size_t i = 0; i < times; i++) {
        end += sprintf(end, "F%zu:%*s kB\n", i, (int) length - 7, "1");
    }
    assert_int_equal(end - text, length * times);
    read_mapping(text);
    for (size_t i = 0; i < sizeof(parser.behind); i++) {
        assert_int_equal(parser.behind[i], 0);
    }
    size_t again = read_mapping(text);
    assert_int_equal(zm_smaps_end(&parser.smaps), 0);
    assert_int_equal(found.count, times);
    for (size_t i = 0; i < times; i++) {
        assert_int_equal(found.all[i].bytes, 1024);
    }
    return again;
}

static void as_many_are_kept_as_there_is_room_for(void **state)
{
    size_t room = sizeof(parser.smaps.kept.text);
    for (size_t more = 0; more < 4; more++) {
        begin(state);
        assert_int_equal(read_long_lines(room + more, 1), more > 0);
    }
    assert_int_equal(room % 4, 0);
    begin(state);
    assert_int_equal(read_long_lines(room / 4, 4), 0);
    begin(state);
    assert_int_equal(read_long_lines(room / 4 + 1, 4), 1);
    begin(state);
    assert_int_equal(read_long_lines(room / 4, 6), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines_as_before_are_not_read, begin),
        cmocka_unit_test_setup(another_line_of_that_length_leaves_those_behind_it, begin),
        cmocka_unit_test_setup(one_of_another_length_moves_them, begin),
        cmocka_unit_test_setup(a_kept_line_is_no_more_than_itself, begin),
        cmocka_unit_test_setup(a_line_that_is_too_long_is_not_the_one_before, begin),
        cmocka_unit_test_setup(lines_behind_another_name_are_read, begin),
        cmocka_unit_test(a_piece_ends_where_it_ends),
        cmocka_unit_test_setup(two_lines_of_a_field_are_read, begin),
        cmocka_unit_test(as_many_are_kept_as_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
