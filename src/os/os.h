/* SPDX-License-Identifier: BSD-3-Clause */
/* What a platform is: each system's files define all of these. */
#ifndef ZM_OS_H
#define ZM_OS_H

#include "os/mapping.h"

#include <pthread.h>
#include <stdatomic.h>
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

/* The process's own number. */
long zm_os_own_number(void);

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

/*
 * Publishing: a file in memory that other processes of this user find by this process's number and the file's name,
 * until this process ends or becomes another program. In its pages is what the process writes to memory.
 */
struct zm_os_page {
    void *memory; /* NULL: none */
    size_t bytes;
    int descriptor;
    uint64_t device;
    uint64_t inode;
    uint32_t user; /* whose it is */
};

/* With that content; it can't be found before it has it. -EMFILE and others. */
int zm_os_page_make(const char *name, const void *content, size_t bytes, struct zm_os_page *page);

/* False: the program has closed the descriptor, or it has another user by now. */
bool zm_os_page_can_be_found(const struct zm_os_page *page);

/* A descriptor that is not the page's any more stays open. May be interrupted by a fork, and then called again. */
void zm_os_page_drop(struct zm_os_page *page);

/* A page of some process, with that name: it may hold anything. */
struct zm_os_found_page {
    int descriptor;
    int place;       /* the process's own descriptor */
    uint64_t bytes;  /* 0: no file of pages */
    bool keeps_size; /* nobody can change it */
    bool is_of_user; /* it was made by one of the process's users, or by root */
    uint64_t number; /* what the process takes for its own number */
    uint64_t start;  /* when it started, as zm_os_proc_stat has it */
};

/* Not 0: that's enough. */
typedef int zm_os_page_visitor(const struct zm_os_found_page *page, void *context);

/*
 * Among all descriptors of the process; or one place alone, if that is no negative number, where there may be none.
 * -EACCES: the process is another user's. -EPERM: so is a page, which is not visited.
 */
int zm_os_find_pages(long pid, const char *name, int place, zm_os_page_visitor *visit, void *context);

/* Exactly so many bytes, or -EBADMSG. All memory that is read before is as of before. */
int zm_os_page_read(const struct zm_os_found_page *page, size_t offset, void *to, size_t bytes);

/* Waits until somebody wakes those who wait for the word, if it has that value, or for that time; or for no reason.
 */
int zm_os_wait(_Atomic uint32_t *word, uint32_t value, uint64_t milliseconds);
void zm_os_wake(_Atomic uint32_t *word);

/* Only in hardened builds (random.c). */
int zm_os_random(void *bytes, size_t length);

#endif
