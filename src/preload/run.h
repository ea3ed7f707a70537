/* SPDX-License-Identifier: BSD-3-Clause */
/* What a program under `zmalloc run` leaves in a folder: a file for each process image, with figures that others read
 * while it runs and after it has ended. */
#ifndef ZM_PRELOAD_RUN_H
#define ZM_PRELOAD_RUN_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Variables of the environment. Without the first one nothing of this is done. */
#define ZM_RUN_FOLDER "ZMALLOC_RUN_FOLDER"
#define ZM_RUN_MILLISECONDS "ZMALLOC_RUN_MILLISECONDS" /* from one refresh to the next; 0: at the end alone */
#define ZM_RUN_LIMIT "ZMALLOC_RUN_LIMIT"               /* bytes */
#define ZM_RUN_SOFT_LIMIT "ZMALLOC_RUN_SOFT_LIMIT"     /* bytes */

/* Without all that, too: the process publishes its figures, and refreshes them so often. */
#define ZM_PUBLISH_MILLISECONDS "ZMALLOC_PUBLISH_MILLISECONDS"

/* How a process image ended, as far as it can tell. If there is none, it was killed, or the process went on by exec:
 * then there may be another image of the same process. */
enum zm_run_end { ZM_RUN_NO_END, ZM_RUN_EXIT, ZM_RUN_EXIT_AT_ONCE };

/* The file: text, then numbers of 64 bits in the machine's order. _cli/preloaded.py reads it. */
enum { ZM_RUN_TEXT = 32, ZM_RUN_VERSION = 2 };
#define ZM_RUN_MAGIC 0x4e55524d5aull /* "ZMRUN" on a little-endian machine */

struct zm_run_page {
    char allocator[ZM_RUN_TEXT];
    char program[ZM_RUN_TEXT];
    uint64_t magic;
    uint64_t version;
    uint64_t size; /* of this struct */
    uint64_t pid;
    uint64_t parent;
    uint64_t born;             /* when the process began: field 22 of its stat, the same in all images */
    uint64_t started_ns;       /* when the image began, by CLOCK_MONOTONIC */
    uint64_t elsewhere;        /* a bit for each call that another library or the program answers: see run.c */
    _Atomic uint64_t sequence; /* odd while the rest is written */
    _Atomic uint64_t updated_ns;
    _Atomic uint64_t ended; /* an enum zm_run_end: these are the last figures */
    _Atomic uint64_t used;
    _Atomic uint64_t allocated;
    _Atomic uint64_t active;
    _Atomic uint64_t resident;
    _Atomic uint64_t rss; /* at the end alone, as peak_rss */
    _Atomic uint64_t peak_used;
    _Atomic uint64_t peak_rss; /* VmHWM */
    _Atomic uint64_t total_allocated;
    _Atomic uint64_t total_freed;
    _Atomic uint64_t user_us; /* since the process began, before any exec, as the next three */
    _Atomic uint64_t system_us;
    _Atomic uint64_t minor_faults;
    _Atomic uint64_t major_faults;
    _Atomic uint64_t failed;      /* requests that failed */
    _Atomic uint64_t failed_size; /* the last of them */
    _Atomic uint64_t soft_passed; /* how often used passed the soft limit */
};

/* A request has failed. */
void zm_run_failed(size_t size);

#endif
