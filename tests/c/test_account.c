/* SPDX-License-Identifier: BSD-3-Clause */
/* Used memory against a sum kept beside it, after every one of many random calls of every kind. */
#include "support.h"

#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { SLOTS = 600, STEPS = 60000, AUDIT_EVERY = 500 };

/* Of a large block only this much is filled with the pattern. */
enum { FILLED_AT_MOST = 4096 };

static struct block {
    void *ptr;
    size_t usable;
    unsigned seed;
} blocks[SLOTS];

static uint64_t random_state;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t below(size_t limit)
{
    return (size_t) (random_number() >> 16) % limit;
}

static size_t random_size(void)
{
    size_t kind = below(1000);
    return below(kind < 600 ? 200 : kind < 950 ? 5000 : kind < 998 ? 200000 : 6000000);
}

static size_t filled_part(const struct block *block)
{
    return block->usable < FILLED_AT_MOST ? block->usable : FILLED_AT_MOST;
}

static void check_contents(const struct block *block, size_t length)
{
    size_t part = filled_part(block);
    assert_true(filled(block->ptr, length < part ? length : part, block->seed));
}

/* The block in this slot is now this one. */
static void put(struct block *block, void *ptr, size_t usable)
{
    *block = (struct block){.ptr = ptr, .usable = usable, .seed = (unsigned) random_number()};
    assert_int_equal(usable, zmalloc_usable_size(ptr));
    fill(ptr, 0, filled_part(block), block->seed);
}

static void make(struct block *block)
{
    size_t usable;
    if (below(10) == 0) {
        char text[300];
        size_t length = below(sizeof(text));
        memset(text, 'y', length);
        text[length] = '\0';
        char *copy = zstrdup(text);
        assert_string_equal(copy, text);
        put(block, copy, zmalloc_usable_size(copy));
        return;
    }
    void *ptr = ways[below(LENGTH(ways))].get(random_size(), &usable);
    put(block, ptr, usable);
}

static void resize(struct block *block)
{
    const struct resize *way = &resizes[below(LENGTH(resizes))];
    size_t size = random_size() + 1;
    size_t usable;
    void *ptr = way->to(block->ptr, size, &usable);
    assert_non_null(ptr);
    block->ptr = ptr;
    check_contents(block, size);
    put(block, ptr, usable);
}

static void fail_to_resize(struct block *block)
{
    size_t usable;
    size_t size = impossible_sizes[below(LENGTH(impossible_sizes))];
    assert_null(resizes[below(LENGTH(resizes))].to(block->ptr, size, &usable));
    check_contents(block, SIZE_MAX);
}

static void release(struct block *block)
{
    check_contents(block, SIZE_MAX);
    releases[below(LENGTH(releases))].give(block->ptr);
    *block = (struct block){0};
}

static size_t sum_of_sizes(void)
{
    size_t sum = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        sum += zmalloc_size(blocks[i].ptr);
    }
    return sum;
}

static void step(struct block *block)
{
    size_t kind = below(100);
    if (block->ptr == NULL) {
        make(block);
    } else if (kind < 45) {
        release(block);
    } else if (kind < 95) {
        resize(block);
    } else {
        fail_to_resize(block);
    }
}

static void test_used_memory_is_the_sum(void **state)
{
    (void) state;
    const char *seed = getenv("ZMALLOC_TEST_SEED");
    random_state = seed != NULL ? strtoull(seed, NULL, 0) : 20240229;
    print_message("ZMALLOC_TEST_SEED=%llu\n", (unsigned long long) random_state);

    size_t sum = 0;
    for (size_t i = 0; i < STEPS; i++) {
        struct block *block = &blocks[below(SLOTS)];
        sum -= zmalloc_size(block->ptr);
        step(block);
        sum += zmalloc_size(block->ptr);
        expect(zmalloc_used_memory() - used_at_start == sum, "step", i);
        expect(i % AUDIT_EVERY != 0 || sum == sum_of_sizes(), "audit at step", i);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        zfree(blocks[i].ptr);
    }
}

#if SIZE_MAX == UINT32_MAX
/* A process of 32 bits takes all the addresses that it has: little less than the account can hold at all. */
static void test_nearly_all_of_32_bits(void **state)
{
    (void) state;
    static void *held[40000];
    static const size_t sizes[] = {16 << 20, 1 << 20, 128 << 10};
    size_t count = 0;
    size_t sum = 0;
#ifdef M_PERTURB
    mallopt(M_PERTURB, 0); /* nothing is to be written to */
#endif
    for (size_t s = 0; s < LENGTH(sizes); s++) {
        while (count < LENGTH(held) && (held[count] = ztrymalloc(sizes[s])) != NULL) {
            sum += zmalloc_size(held[count++]);
            expect(zmalloc_used_memory() - used_at_start == sum, "bytes held", sum);
        }
    }
    size_t most = sum;
    while (count > 0) {
        sum -= zmalloc_size(held[--count]);
        zfree(held[count]);
        expect(zmalloc_used_memory() - used_at_start == sum, "bytes held", sum);
    }
    print_message("held up to %zu MiB\n", most >> 20);
    expect(most > SIZE_MAX / 8 * 7, "bytes held", most);
}
#endif

static const struct CMUnitTest tests[] = {
    balanced(test_used_memory_is_the_sum),
#if SIZE_MAX == UINT32_MAX
    balanced(test_nearly_all_of_32_bits),
#endif
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
