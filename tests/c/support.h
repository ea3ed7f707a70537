/* SPDX-License-Identifier: BSD-3-Clause */
/* What the unit tests share: cmocka, every way to give a block back, and a handler that takes notes. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include "emulation.h"
#include "patterns.h"
#include "ways.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#ifdef ZMALLOC_SIZE_PREFIX
enum { PREFIX_SIZE = sizeof(struct { _Alignas(max_align_t) size_t words[2]; }) };
#else
enum { PREFIX_SIZE = 0 };
#endif

#ifdef ZMALLOC_TESTS_HARDENED
enum { HARDENED = true };
#else
enum { HARDENED = false };
#endif

/* A way to give a block back. */
struct release {
    const char *name;
    void (*give)(void *ptr);
};

static inline void release_zfree_usable(void *ptr)
{
    size_t before = zmalloc_usable_size(ptr);
    size_t usable = SIZE_MAX;
    zfree_usable(ptr, &usable);
    assert_int_equal(usable, before);
}

static inline void release_zfree_usable_untold(void *ptr)
{
    zfree_usable(ptr, NULL);
}

static inline void release_with_usable_size(void *ptr)
{
    zfree_with_size(ptr, zmalloc_usable_size(ptr));
}

static inline void release_zrealloc(void *ptr)
{
    assert_null(ptr != NULL ? zrealloc(ptr, 0) : NULL);
}

static inline void release_ztryrealloc(void *ptr)
{
    assert_null(ptr != NULL ? ztryrealloc(ptr, 0) : NULL);
}

static inline void release_zrealloc_usable(void *ptr)
{
    size_t usable = SIZE_MAX;
    assert_null(ptr != NULL ? zrealloc_usable(ptr, 0, &usable) : NULL);
    assert_int_equal(usable, ptr != NULL ? 0 : SIZE_MAX);
}

static inline void release_ztryrealloc_usable(void *ptr)
{
    size_t usable = SIZE_MAX;
    assert_null(ptr != NULL ? ztryrealloc_usable(ptr, 0, &usable) : NULL);
    assert_int_equal(usable, ptr != NULL ? 0 : SIZE_MAX);
}

static const struct release releases[] = {
    {"zfree", zfree},
    {"zfree_no_tcache", zfree_no_tcache},
    {"zfree_usable", release_zfree_usable},
    {"zfree_usable, NULL", release_zfree_usable_untold},
    {"zfree_with_size", release_with_usable_size},
    {"zrealloc to 0", release_zrealloc},
    {"ztryrealloc to 0", release_ztryrealloc},
    {"zrealloc_usable to 0", release_zrealloc_usable},
    {"ztryrealloc_usable to 0", release_ztryrealloc_usable},
};

/* Fails with the name of the call and the size in question. */
#define expect(condition, name, size)                                                                                \
    do {                                                                                                             \
        if (!(condition)) {                                                                                          \
            fail_msg("%s, size %zu: not so: %s", name, (size_t) (size), #condition);                                 \
        }                                                                                                            \
    } while (0)

/* As every block is promised to be. */
static inline bool aligned(void *ptr)
{
#ifdef ZMALLOC_QUANTUM
    size_t promised = zmalloc_usable_size(ptr) % 16 == 0 ? _Alignof(max_align_t) : ZMALLOC_QUANTUM;
#else
    size_t promised = _Alignof(max_align_t);
#endif
    return (uintptr_t) ptr % promised == 0;
}

static inline bool allocator_is(const char *name)
{
    return strncmp(ZMALLOC_LIB, name, strlen(name)) == 0;
}

/* A C library other than glibc tells nothing of its malloc, and has no way to have it give memory back. */
static inline bool malloc_is_mute(void)
{
#ifdef __GLIBC__
    return false;
#else
    return allocator_is("libc");
#endif
}

static inline void skip_if_emulated(const char *reason)
{
    if (is_emulated()) {
        print_message("skipped: under emulation %s\n", reason);
        skip();
    }
}

/* How often the out-of-memory handler was called, and with what. */
struct oom_notes {
    int calls;
    size_t size;
};

static struct oom_notes oom;

static inline void note_oom(size_t size)
{
    oom.calls++;
    oom.size = size;
}

/* From here on the handler takes notes and returns. */
static inline int take_oom_notes(void **state)
{
    (void) state;
    oom = (struct oom_notes){0};
    zmalloc_set_oom_handler(note_oom);
    return 0;
}

static inline int restore_oom_handler(void **state)
{
    (void) state;
    zmalloc_set_oom_handler(NULL);
    return 0;
}

/*
 * The sizes that no allocator can serve. Half of the addresses can be had where they have 32 bits. Not constants to
 * the compiler, which would warn.
 */
static volatile const size_t impossible_sizes[] = {
#if SIZE_MAX > UINT32_MAX
    (size_t) PTRDIFF_MAX - 4096,
    (size_t) PTRDIFF_MAX - 16,
    (size_t) PTRDIFF_MAX - 15,
    (size_t) PTRDIFF_MAX - 1,
    PTRDIFF_MAX,
#endif
    (size_t) PTRDIFF_MAX + 1,
    (size_t) PTRDIFF_MAX + 2,
    SIZE_MAX / 4 * 3,
    SIZE_MAX - 4096,
    SIZE_MAX - 31,
    SIZE_MAX - 17,
    SIZE_MAX - 16,
    SIZE_MAX - 15,
    SIZE_MAX - 14,
    SIZE_MAX - 8,
    SIZE_MAX - 7,
    SIZE_MAX - 1,
    SIZE_MAX,
};

/* Checks that a test leaves as many bytes in use as it found. */
static size_t used_at_start;

static inline int note_used(void **state)
{
    (void) state;
    used_at_start = zmalloc_used_memory();
    return take_oom_notes(state);
}

static inline int check_used(void **state)
{
    restore_oom_handler(state);
    return zmalloc_used_memory() == used_at_start ? 0 : -1;
}

/* A test that must leave the account as it was, with the handler that takes notes. */
#define balanced(test) cmocka_unit_test_setup_teardown(test, note_used, check_used)

/* Resizes a block of old usable bytes, looks at all that there is to be seen, and frees it. */
static inline void check_resize_of(void *ptr, size_t old, const struct resize *resize, size_t to)
{
    size_t others = zmalloc_used_memory() - zmalloc_size(ptr);
    fill(ptr, 0, old, 1);
    size_t usable = SIZE_MAX;
    ptr = resize->to(ptr, to, &usable);
    expect(ptr != NULL && aligned(ptr), resize->name, to);
    expect(usable >= to && usable == zmalloc_usable_size(ptr), resize->name, to);
    expect(filled(ptr, old < to ? old : to, 1), resize->name, to);
    expect(zmalloc_used_memory() == others + zmalloc_size(ptr), resize->name, to);
    fill(ptr, 0, usable, 2);
    zfree(ptr);
}

#endif
