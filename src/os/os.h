/* SPDX-License-Identifier: BSD-3-Clause */
/* What a platform is: each system's files define all of these. */
#ifndef ZM_OS_H
#define ZM_OS_H

#include "os/mapping.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An int is 0 or a negative errno; -ENOSYS where the system can't tell. What an out-pointer holds after an error
 * is not defined. Figures are bytes. A pid is a process number above 0, or -1 for this process.
 */
int zm_os_rss(long pid, uint64_t *bytes);

/* Each mapping in turn; what the visitor says once it has enough is returned. */
int zm_os_mappings(long pid, zm_mapping_visitor *visit, void *context);

/* The sums of the mappings' fields, if the system has them at hand: it may lack some of the fields. */
int zm_os_rollup(long pid, struct zm_fields *sums);

int zm_os_proc_stat(int field, long long *value);

/* Limits on memory. UINT64_MAX: none is set. */
int zm_os_memory_size(uint64_t *bytes);
/* -ENOSYS: whether there are groups is unknown. Else an error of the group's limit; -ENODATA: it is out of sight. */
int zm_os_cgroup_limit(uint64_t *bytes);
int zm_os_resource_limits(uint64_t *address_space, uint64_t *data);

/* When the kernel makes this process's pages huge. */
enum zm_thp { ZM_THP_NEVER, ZM_THP_MADVISE, ZM_THP_ALWAYS };
int zm_os_thp(enum zm_thp *mode);
int zm_os_disable_thp(bool disable);

/* Pages of zeroes, or NULL; never from an allocator. */
void *zm_os_map(size_t bytes);
void zm_os_unmap(void *pages, size_t bytes);

/* Pages that hold zeros again in a forked child, from its first instruction on. NULL: there are none. */
void *zm_os_map_cleared_in_child(size_t bytes);

/* Whether there is memory at these few bytes; true where that can't be told. */
bool zm_os_is_mapped(const void *start, size_t bytes);

/*
 * Whether the thread has the process's own number: in a forked child that is the one that forked. By what stands in
 * the thread's memory, which may not be there any more. False, too, where that can't be told.
 */
bool zm_os_is_first_thread(pthread_t thread);

size_t zm_os_page_size(void);

/* Of a clock that only goes on. */
uint64_t zm_os_microseconds(void);

/* Gives whole pages back; they read as zero afterwards. */
void zm_os_discard(void *pages, size_t bytes);

/*
 * A full memory barrier in every thread of this process that runs, whatever it is at. To be prepared once; a forked
 * child has it from its parent. The system may refuse either, also the barrier after it was prepared. errno stays as
 * it is.
 */
int zm_os_prepare_barrier(void);
int zm_os_barrier_in_all_threads(void);

/* Only in hardened builds (random.c). */
int zm_os_random(void *bytes, size_t length);

#endif
