/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults on demand: the calls that can fail inside the library, wrapped by the linker, fail when they are told to. */
#ifndef FAULTS_H
#define FAULTS_H

#include <stddef.h>

/* What is passed to jemalloc's calls of our patches behind the first argument: see src/allocator/jemalloc.h. */
#ifdef __x86_64__
#define AFTER_FIRST size_t any, size_t any_too, size_t any_more,
#define ANY any, any_too, any_more,
#else
#define AFTER_FIRST
#define ANY
#endif

/*
 * A fault is a way for one call, or for several, to fail: "read EIO". They are numbered from 0. It is armed for the
 * calling thread: from then on the nth call that it is about fails, and with persistent all after it. Where it is
 * disarmed is told how often it struck.
 */
#pragma GCC visibility push(default) /* a script finds them in its module */
int faults_count(void);
const char *faults_name(int fault);
void faults_arm(int fault, unsigned nth, int persistent);
unsigned faults_disarm(void);

/*
 * For a new thread, before it meets the fault: jemalloc does not survive a thread's very first call where there is
 * nothing to be mapped, so that is done by then. The library has not heard of the thread yet.
 */
void faults_prepare_thread(int fault);

/*
 * Of every fault: whether it is about allocations alone; whether it can't be seen from outside, as the call is tried
 * again; whether it never comes alone, as the end of a process's memory; and the errno that it sets, if any.
 */
int faults_is_of_allocator(int fault);
int faults_is_harmless(int fault);
int faults_is_lasting(int fault);
int faults_errno(int fault);

/* The allocator's blocks that were handed out through the wrapped calls and are not freed. */
long faults_blocks(void);
#pragma GCC visibility pop

#endif
