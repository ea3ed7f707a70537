/* SPDX-License-Identifier: BSD-3-Clause */
/* The highest of what several threads have seen. */
#ifndef ZM_ATOMIC_MAX_H
#define ZM_ATOMIC_MAX_H

#include <stdatomic.h>
#include <stddef.h>

static inline void zm_atomic_max(_Atomic size_t *highest, size_t value)
{
    size_t old = atomic_load_explicit(highest, memory_order_relaxed);
    while (old < value && !atomic_compare_exchange_weak(highest, &old, value)) {
    }
}

#endif
