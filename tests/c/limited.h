/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of limits on the bytes in use share: a handler that takes notes, and no limit left behind. */
#ifndef LIMITED_H
#define LIMITED_H

#include "support.h"

static size_t handler_calls;
static size_t handler_size;

static inline void take_note(size_t size)
{
    handler_calls++;
    handler_size = size;
}

static inline int set_up(void **state)
{
    (void) state;
    handler_calls = 0;
    zmalloc_set_oom_handler(take_note);
    return 0;
}

static inline int tear_down(void **state)
{
    (void) state;
    zmalloc_set_oom_handler(NULL);
    return zmalloc_set_limit(0) != 0 || zmalloc_set_soft_limit(0, 0, NULL, NULL) != 0;
}

static inline void limit_to(size_t bytes)
{
    assert_int_equal(zmalloc_set_limit(bytes), 0);
    assert_int_equal(zmalloc_limit(), bytes);
}

/* A test that may set limits and handlers. */
#define limited(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
