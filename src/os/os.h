/* SPDX-License-Identifier: BSD-3-Clause */
/* What a platform is: each system's file defines all of these. */
#ifndef ZM_OS_H
#define ZM_OS_H

#include <stddef.h>

/*
 * An int is 0 or a negative errno; -ENOSYS where the system can't tell. What an out-pointer holds after an error
 * is not defined. A pid is a process number above 0, or -1 for this process.
 */
int zm_os_rss(size_t *bytes);
int zm_os_memory_size(size_t *bytes);
int zm_os_smaps_field(const char *name, size_t name_length, long pid, size_t *bytes);
int zm_os_private_dirty(long pid, size_t *bytes);
int zm_os_proc_stat(int field, long long *value);

/* Pages of zeroes, or NULL; never from an allocator. */
void *zm_os_map(size_t bytes);
void zm_os_unmap(void *pages, size_t bytes);

size_t zm_os_page_size(void);

/* Gives whole pages back; they read as zero afterwards. */
void zm_os_discard(void *pages, size_t bytes);

#endif
