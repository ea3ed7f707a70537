/* SPDX-License-Identifier: BSD-3-Clause */
/* Which sanitizer is looking on, and what it leaves a test to do. */
#ifndef SANITIZERS_H
#define SANITIZERS_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { THREAD_SANITIZER = true };
#else
enum { THREAD_SANITIZER = false };
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { ADDRESS_SANITIZER = true };
#else
enum { ADDRESS_SANITIZER = false };
#endif

/* Either makes a program some ten times slower: it need not do all that often. */
enum { SANITIZED = THREAD_SANITIZER || ADDRESS_SANITIZER };

/* ThreadSanitizer takes leave of a thread in the last round of key destructors, before our turn. */
enum { DESTRUCTOR_ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS - THREAD_SANITIZER };

#endif
