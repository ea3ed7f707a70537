/* SPDX-License-Identifier: BSD-3-Clause */
/* Words that one thread writes and others read, without an instruction more than plain ones take. */
#ifndef ZM_PLAIN_H
#define ZM_PLAIN_H

#include <stdatomic.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ZM_THREAD_SANITIZER
#endif
#endif

/* Where each load acquires and each store releases, and an instruction can load or store as a part of what it does. A
 * compiler makes no such instruction of an atomic load. */
#if (defined(__x86_64__) || defined(__i386__)) && !defined(__SANITIZE_THREAD__) && !defined(ZM_THREAD_SANITIZER)
#define ZM_PLAIN_WORDS
#endif

/*
 * By the thread that alone writes it, so no locked add. Where it is one instruction, a signal handler that forks
 * comes before it or after it. The store is a release.
 */
static inline void zm_plain_add(_Atomic size_t *word, size_t value)
{
#ifdef ZM_PLAIN_WORDS
    __asm__ volatile("add %1, %0" : "+m"(*(size_t *) word) : "r"(value) : "memory", "cc");
#else
    size_t sum = atomic_load_explicit(word, memory_order_relaxed) + value;
    atomic_store_explicit(word, sum, memory_order_release);
#endif
}

static inline void zm_plain_subtract(_Atomic size_t *word, size_t value)
{
#ifdef ZM_PLAIN_WORDS
    __asm__ volatile("sub %1, %0" : "+m"(*(size_t *) word) : "r"(value) : "memory", "cc");
#else
    zm_plain_add(word, 0 - value);
#endif
}

/* Acquires. Whoever needs an order among several, or must not have it loaded twice, has a fence for signals there.
 * clang moves plain loads over such a fence, so it gets atomic ones. */
static inline size_t zm_plain_load(const _Atomic size_t *word)
{
#if defined(ZM_PLAIN_WORDS) && !defined(__clang__)
    return *(const size_t *) word;
#else
    return atomic_load_explicit(word, memory_order_acquire);
#endif
}

#endif
