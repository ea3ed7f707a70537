/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: a process's folder in /proc, and what is read there. */
#ifndef ZM_PROCESS_H
#define ZM_PROCESS_H

#include <stdbool.h>

/* Whether it is this process, which may also ask for itself by its number. */
bool zm_process_is_own(long pid);

/*
 * A process's folder, held open: what is opened in it is that process's, whoever gets its number next. This process
 * is asked about by way of its calling thread, as the first one may have ended, and then nothing is told of its
 * memory.
 */
int zm_process_open(long pid);

/* A descriptor, or a negative errno: -ENOSYS for a file that this kernel doesn't have. */
int zm_process_open_file(int process, const char *file, int flags);

/* A number among the fields of a process's stat, from 1. */
int zm_process_parse_stat(const char *text, int field, long long *value);

#endif
