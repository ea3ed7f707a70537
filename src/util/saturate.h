/* SPDX-License-Identifier: BSD-3-Clause */
/* Sums and differences that stop at the ends of their type. */
#ifndef ZM_SATURATE_H
#define ZM_SATURATE_H

#include <stddef.h>
#include <stdint.h>

static inline size_t zm_plus(size_t a, size_t b)
{
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

static inline size_t zm_minus(size_t whole, size_t part)
{
    return part < whole ? whole - part : 0;
}

static inline uint64_t zm_plus64(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t zm_times64(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

#endif
