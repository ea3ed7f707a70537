/* SPDX-License-Identifier: BSD-3-Clause */
/* Every call that takes a size or an alignment, with those at every boundary; and after each all is as it should be.
 */
#include "sanitizers.h"
#include "aligned_ways.h"
#include "support.h"
#include "zmalloc_lua.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * Requests up to EASY are served, for alignments up to EASY too; those up to FEASIBLE may be. The process may have so
 * much more than it has that those from TOO_LARGE on fail. What lies between is not asked for: it takes long to zero.
 */
enum { EASY = 4 << 20, FEASIBLE = 32 << 20, MORE = 800 << 20, LOOKED_AT = 64 << 10 };

/* Every so many of the sizes are tried with each of something else. */
enum { STRIDE = SANITIZED ? 5 : 1 };

/* Sanitizers that have their own malloc take address space by the terabyte, so that no limit can be set, and refuse
 * by themselves. ThreadSanitizer leaves jemalloc, which it does not replace, as much as there is: with gcc 14, 4 TiB.
 */
#define TOO_LARGE ((size_t) 1 << (THREAD_SANITIZER || is_emulated() ? 47 : ADDRESS_SANITIZER ? 42 : 30))

enum fate { IS_SERVED, FAILS, EITHER };

static size_t tried;
static size_t used_before;

/* Filled at run time: of a constant the compiler would know that it is too large. */
static size_t sizes[400];
static size_t sizes_length;
static size_t alignments[300];
static size_t alignments_length;

static void add(size_t *list, size_t *length, size_t room, size_t number)
{
    if (number > FEASIBLE && number < TOO_LARGE) {
        return;
    }
    for (size_t i = 0; i < *length; i++) {
        if (list[i] == number) {
            return;
        }
    }
    assert_true(*length < room);
    list[(*length)++] = number;
}

static void add_size(size_t size)
{
    add(sizes, &sizes_length, LENGTH(sizes), size);
}

static void add_alignment(size_t alignment)
{
    add(alignments, &alignments_length, LENGTH(alignments), alignment);
}

/* Where the allocator's class of this size ends. */
static void add_class_edges(size_t size)
{
    size_t usable;
    zfree(zmalloc_usable(size, &usable));
    add_size(usable);
    add_size(usable + 1);
}

static int make_lists(void **state)
{
    (void) state;
    static const size_t below_the_end[] = {0,  1,  2,  7,  8,  9,   14,  15,  16,   17,   24,   31,   32,   33,
                                           47, 48, 63, 64, 65, 127, 128, 255, 1023, 2047, 4094, 4095, 4096, 4097};
    add_size(0);
    add_alignment(0);
    for (size_t power = 1; power != 0; power *= 2) {
        for (size_t number = power - 1; number != power + 2; number++) {
            add_size(number);
            add_alignment(number);
        }
        if (power < EASY) {
            add_class_edges(power + 1);
            add_class_edges(power + power / 2 + 1);
        }
    }
    for (size_t i = 0; i < LENGTH(below_the_end); i++) {
        add_size(SIZE_MAX - below_the_end[i]);
        add_size((size_t) PTRDIFF_MAX - below_the_end[i]);
        add_size((size_t) PTRDIFF_MAX + below_the_end[i]);
        add_alignment(SIZE_MAX - below_the_end[i]);
    }
    add_size(SIZE_MAX / 3);
    add_size(SIZE_MAX / 4 * 3);
    assert_true(sizes_length > 200);
    return 0;
}

static enum fate fate_of(size_t size)
{
    return size <= EASY ? IS_SERVED : size >= TOO_LARGE ? FAILS : EITHER;
}

static bool is_power_of_two(size_t number)
{
    return number != 0 && (number & (number - 1)) == 0;
}

static void begin(void)
{
    tried++;
    oom = (struct oom_notes){0};
    used_before = zmalloc_used_memory();
}

/* The handler was called once or not at all, and told what was asked for. */
static void check_handler(const char *name, size_t size, bool called)
{
    expect(oom.calls == (called ? 1 : 0), name, size);
    expect(!called || oom.size == size, name, size);
}

static void check_failure(const char *name, size_t size, enum fate fate, size_t usable, bool calls_handler)
{
    expect(fate != IS_SERVED, name, size);
    expect(usable == 0, name, size);
    check_handler(name, size, calls_handler);
    expect(zmalloc_used_memory() == used_before, name, size);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Its beginning and its end, which is all of it if it is not large. */
static void fill_block(void *ptr, size_t usable)
{
    size_t part = least(usable, LOOKED_AT);
    fill(ptr, 0, part, 3);
    fill(ptr, usable - part, usable, 3);
}

static bool ends_are_zero(const char *ptr, size_t size)
{
    size_t part = least(size, LOOKED_AT);
    return all_zero(ptr, part) && all_zero(ptr + size - part, part);
}

static void check_block(const char *name, void *ptr, size_t alignment, size_t size, size_t usable)
{
    expect(aligned(ptr) && (uintptr_t) ptr % alignment == 0, name, size);
    expect(usable >= size && usable == zmalloc_usable_size(ptr), name, size);
    expect(zmalloc_used_memory() == used_before + zmalloc_size(ptr), name, size);
    check_handler(name, size, false);
    fill_block(ptr, usable);
}

static void check_released(const char *name, size_t size)
{
    expect(zmalloc_used_memory() == used_before, name, size);
}

static void ask(const struct way *way, size_t size, size_t number)
{
    begin();
    size_t usable = 1;
    void *ptr = way->get(size, &usable);
    if (ptr == NULL) {
        check_failure(way->name, size, fate_of(size), usable, way->calls_handler);
        return;
    }
    expect(fate_of(size) != FAILS, way->name, size);
    expect(!way->zeroed || ends_are_zero(ptr, size), way->name, size);
    check_block(way->name, ptr, 1, size, usable);
    if (number % 2 == 0 && !way->aligned) {
        const size_t legal[] = {size, usable, size + (usable - size) / 2};
        zfree_with_size(ptr, legal[number / 2 % LENGTH(legal)]);
    } else {
        releases[number / 2 % LENGTH(releases)].give(ptr);
    }
    check_released(way->name, size);
}

static void test_each_way_to_get_a_block(void **state)
{
    (void) state;
    for (size_t w = 0; w < LENGTH(ways); w++) {
        for (size_t s = w % STRIDE; s < sizes_length; s += STRIDE) {
            ask(&ways[w], sizes[s], w + s);
        }
    }
}

static void ask_product(size_t num, size_t size)
{
    bool overflows = size != 0 && num > SIZE_MAX / size;
    size_t product = overflows ? SIZE_MAX : num * size;
    if (fate_of(product) == EITHER) {
        return; /* to zero so much takes too long for all of them */
    }
    begin();
    char *ptr = zcalloc_num(num, size);
    if (ptr == NULL) {
        check_failure("zcalloc_num", product, fate_of(product), 0, true);
        return;
    }
    expect(fate_of(product) != FAILS, "zcalloc_num", product);
    expect(ends_are_zero(ptr, product), "zcalloc_num", product);
    check_handler("zcalloc_num", product, false);
    expect(zmalloc_used_memory() == used_before + zmalloc_size(ptr), "zcalloc_num", product);
    fill(ptr, 0, least(product, 256), 3); /* what was asked for: gcc 14's sanitizer knows of no more */
    zfree(ptr);
    check_released("zcalloc_num", product);
}

static void test_each_product(void **state)
{
    (void) state;
    for (size_t n = 0; n < sizes_length; n++) {
        for (size_t s = n % STRIDE; s < sizes_length; s += STRIDE) {
            ask_product(sizes[n], sizes[s]);
        }
    }
}

/* What a block is before it is resized. */
struct old {
    char *ptr;
    size_t size;
    size_t usable;
};

static struct old make_old(size_t size)
{
    struct old old = {.size = size};
    old.ptr = zmalloc_usable(size, &old.usable);
    fill(old.ptr, 0, old.usable, 5);
    return old;
}

static void check_old(const char *name, const struct old *old, size_t size)
{
    expect(zmalloc_usable_size(old->ptr) == old->usable, name, size);
    expect(filled(old->ptr, old->usable, 5), name, size);
}

static const size_t old_sizes[] = {0, 1, 24, 4000, 140000};

static void resize_to(const struct resize *resize, size_t from, size_t size, size_t number)
{
    struct old old = make_old(from);
    begin();
    size_t usable = 1;
    void *ptr = resize->to(old.ptr, size, &usable);
    if (size == 0) {
        expect(ptr == NULL && usable == 0, resize->name, size);
        check_handler(resize->name, size, false);
        expect(zmalloc_used_memory() == used_at_start, resize->name, size);
        return;
    }
    if (ptr == NULL) {
        check_failure(resize->name, size, fate_of(size), usable, resize->calls_handler);
        check_old(resize->name, &old, size);
        ptr = old.ptr;
    } else {
        expect(fate_of(size) != FAILS, resize->name, size);
        expect(filled(ptr, least(old.usable, size), 5), resize->name, size);
        used_before = used_at_start;
        check_block(resize->name, ptr, 1, size, usable);
    }
    releases[number % LENGTH(releases)].give(ptr);
    expect(zmalloc_used_memory() == used_at_start, resize->name, size);
}

static void test_each_way_to_resize_a_block(void **state)
{
    (void) state;
    for (size_t r = 0; r < LENGTH(resizes); r++) {
        for (size_t from = 0; from < LENGTH(old_sizes); from++) {
            for (size_t s = from % STRIDE; s < sizes_length; s += STRIDE) {
                resize_to(&resizes[r], old_sizes[from], sizes[s], r + s);
            }
        }
    }
}

/* A block may be served at an address that is better aligned than the allocator could promise. */
static enum fate fate_of_aligned(size_t alignment, size_t size)
{
    enum fate fate = fate_of(size);
    return !is_power_of_two(alignment) || fate == FAILS ? FAILS : alignment <= EASY ? fate : EITHER;
}

static void ask_aligned(const struct aligned_way *way, size_t alignment, size_t size, size_t number)
{
    enum fate fate = fate_of_aligned(alignment, size);
    begin();
    size_t usable = 1;
    char *ptr = way->get(alignment, size, &usable);
    if (ptr == NULL) {
        check_failure(way->name, size, fate, usable, way->calls_handler);
        return;
    }
    expect(fate != FAILS, way->name, alignment);
    expect(aligned(ptr) && (uintptr_t) ptr % alignment == 0, way->name, alignment);
    expect(usable >= size && usable == zmalloc_usable_size(ptr), way->name, size);
    expect(zmalloc_used_memory() == used_before + zmalloc_size(ptr), way->name, size);
    check_handler(way->name, size, false);
    if (usable > 0) {
        ptr[0] = 'a';
        ptr[usable - 1] = 'z';
    }
    releases[number % LENGTH(releases)].give(ptr);
    check_released(way->name, size);
}

/* All alignments with each third size, by one of the ways each. */
static void test_each_alignment(void **state)
{
    (void) state;
    for (size_t a = 0; a < alignments_length; a++) {
        for (size_t s = a % 3; s < sizes_length; s += 3) {
            ask_aligned(&aligned_ways[(a + s) % LENGTH(aligned_ways)], alignments[a], sizes[s], a + s);
        }
    }
}

/* The largest sizes that an alignment leaves room for, and the first that it doesn't. */
static void test_sizes_that_an_alignment_makes_too_large(void **state)
{
    (void) state;
    for (size_t w = 0; w < LENGTH(aligned_ways); w++) {
        for (size_t alignment = 1; alignment != 0; alignment *= 2) {
            for (size_t less = 0; less <= 64; less += 8) {
                ask_aligned(&aligned_ways[w], alignment, (size_t) PTRDIFF_MAX - alignment - less, w);
                ask_aligned(&aligned_ways[w], alignment, (size_t) PTRDIFF_MAX - alignment + less, w);
                ask_aligned(&aligned_ways[w], alignment, SIZE_MAX - alignment - less, w);
            }
        }
    }
}

static void test_each_size_that_is_good(void **state)
{
    (void) state;
    for (size_t s = 0; s < sizes_length; s++) {
        begin();
        size_t good = zmalloc_good_size(sizes[s]);
        expect(good >= sizes[s] || (good == 0 && fate_of(sizes[s]) == FAILS), "zmalloc_good_size", sizes[s]);
        expect(good <= PTRDIFF_MAX, "zmalloc_good_size", sizes[s]);
        check_failure("zmalloc_good_size", sizes[s], EITHER, 0, false);
    }
}

/* It is for the compiler to know, and touches nothing; a hardened library takes more than is usable for wrong. */
static void test_each_size_to_extend_to(void **state)
{
    (void) state;
    struct old old = make_old(100);
    for (size_t s = 0; s < sizes_length; s++) {
        begin();
        if (!HARDENED || sizes[s] <= zmalloc_usable_size(old.ptr)) {
            expect(extend_to_usable(old.ptr, sizes[s]) == old.ptr, "extend_to_usable", sizes[s]);
        }
        expect(extend_to_usable(NULL, sizes[s]) == NULL, "extend_to_usable", sizes[s]);
        check_failure("extend_to_usable", sizes[s], EITHER, 0, false);
    }
    check_old("extend_to_usable", &old, 0);
    zfree(old.ptr);
}

static void test_each_length_of_a_string(void **state)
{
    (void) state;
    static char text[EASY]; /* for malloc the allocator may have left no address space */
    memset(text, 't', EASY);
    for (size_t s = 0; s < sizes_length; s++) {
        if (sizes[s] == 0 || sizes[s] > EASY) {
            continue;
        }
        size_t length = sizes[s] - 1;
        text[length] = '\0';
        begin();
        char *copy = zstrdup(text);
        expect(copy != NULL && memcmp(copy, text, length + 1) == 0, "zstrdup", sizes[s]);
        check_block("zstrdup", copy, 1, sizes[s], zmalloc_usable_size(copy));
        zfree_with_size(copy, sizes[s]);
        check_released("zstrdup", sizes[s]);
        text[length] = 't';
    }
}

/* Without a block, osize is a type, or anything. */
static void ask_as_lua(size_t osize, size_t size)
{
    static const char name[] = "zmalloc_lua_alloc, new";
    size_t counted = 0;
    begin();
    void *ptr = zmalloc_lua_alloc(&counted, NULL, osize, size);
    if (ptr == NULL) {
        check_failure(name, size, size == 0 ? FAILS : fate_of(size), counted, false);
        return;
    }
    expect(size != 0 && fate_of(size) != FAILS, name, size);
    expect(counted == zmalloc_size(ptr), name, size);
    check_block(name, ptr, 1, size, zmalloc_usable_size(ptr));
    expect(zmalloc_lua_alloc(&counted, ptr, osize, 0) == NULL, name, size);
    expect(counted == 0, name, size);
    check_released(name, size);
}

/* What can't be had is NULL; but what was to be made smaller, by what Lua says it asked for, stays. */
static void resize_as_lua(size_t from, size_t osize, size_t size)
{
    static const char name[] = "zmalloc_lua_alloc";
    struct old old = make_old(from);
    size_t counted = zmalloc_size(old.ptr);
    begin();
    void *ptr = zmalloc_lua_alloc(&counted, old.ptr, osize, size);
    check_handler(name, size, false);
    if (size == 0) {
        expect(ptr == NULL && counted == 0, name, size);
        expect(zmalloc_used_memory() == used_at_start, name, size);
        return;
    }
    expect(zmalloc_used_memory() == used_at_start + counted, name, size);
    if (ptr == NULL || (ptr == old.ptr && zmalloc_usable_size(ptr) < size)) {
        expect(fate_of(size) != IS_SERVED, name, size);
        expect((ptr == NULL) == (size > osize), name, size);
        expect(counted == zmalloc_size(old.ptr), name, size);
        check_old(name, &old, size);
        ptr = old.ptr;
    } else {
        expect(fate_of(size) != FAILS && counted == zmalloc_size(ptr), name, size);
        expect(filled(ptr, least(old.usable, size), 5), name, size);
    }
    zfree(ptr);
    expect(zmalloc_used_memory() == used_at_start, name, size);
}

static void test_each_size_that_lua_asks_for(void **state)
{
    (void) state;
    static const size_t told[] = {0, 1, 5, 100, (size_t) PTRDIFF_MAX + 1, SIZE_MAX};
    for (size_t s = 0; s < sizes_length; s++) {
        for (size_t o = 0; o < LENGTH(told); o++) {
            ask_as_lua(told[o], sizes[s]);
            resize_as_lua(old_sizes[(s + o) % LENGTH(old_sizes)], told[o], sizes[s]);
        }
    }
}

static int limit_memory(void **state)
{
    (void) state;
    if (ADDRESS_SANITIZER || THREAD_SANITIZER) {
        return 0;
    }
    unsigned long pages;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%lu", &pages) != 1) {
        return -1;
    }
    fclose(statm);
    struct rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = pages * (size_t) sysconf(_SC_PAGESIZE) + MORE;
    return setrlimit(RLIMIT_AS, &limit);
}

static int prepare(void **state)
{
    return make_lists(state) == 0 ? limit_memory(state) : -1;
}

static const struct CMUnitTest tests[] = {
    balanced(test_each_way_to_get_a_block),
    balanced(test_each_product),
    balanced(test_each_way_to_resize_a_block),
    balanced(test_each_alignment),
    balanced(test_sizes_that_an_alignment_makes_too_large),
    balanced(test_each_size_that_is_good),
    balanced(test_each_size_to_extend_to),
    balanced(test_each_length_of_a_string),
    balanced(test_each_size_that_lua_asks_for),
};

int main(void)
{
    int failed = cmocka_run_group_tests(tests, prepare, NULL);
    printf("figure: %zu hostile requests tried\n", tried);
    return failed;
}
