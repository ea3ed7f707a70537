/* SPDX-License-Identifier: BSD-3-Clause */
/* The page in which a process publishes its figures: its layout, for readers in any language. */
#ifndef ZMALLOC_PAGE_H
#define ZMALLOC_PAGE_H

#include <stddef.h>
#include <stdint.h>

/*
 * zmalloc_published reads such pages. This header is for those who read them without the library; it needs nothing
 * else of it.
 *
 * Where it is: zmalloc_publish makes a file in memory (memfd_create) that is named "zmalloc". /proc/PID/fd has a link
 * to it, which reads "/memfd:zmalloc (deleted)". Its size is that of the struct. It is sealed: nobody can change its
 * size (F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL), nor write to it except the process (F_SEAL_FUTURE_WRITE, Linux
 * 5.1). The kernel lets its owner and root follow the link, and the file goes with the process.
 *
 * How it is read, without a torn page: read sequence, then the whole page, then sequence again. If the three are the
 * same even number, the page is whole. Otherwise the process was writing: try again. Between the reads put a memory
 * barrier. pread is better than mmap, which may raise SIGBUS if the file is not what it seems.
 *
 * Whose it is: a forked child may have its parent's page open. Compare pid with the last number in the line NStgid of
 * /proc/PID/status, and start with field 22 of /proc/PID/stat.
 *
 * All numbers have the machine's byte order, and the same places with 32 and 64 bits. A later version of the library
 * may add fields at the end, and then size is larger. If a field changes its meaning, version changes.
 */

/** The name of the file. */
#define ZMALLOC_PAGE_NAME "zmalloc"

/** What the page begins with, its NUL included. */
#define ZMALLOC_PAGE_MAGIC "zmalloc"

/** The version of the layout. */
#define ZMALLOC_PAGE_VERSION 1

/** A figure that the process could not tell. */
#define ZMALLOC_PAGE_UNKNOWN UINT64_MAX

/** The page. */
struct zmalloc_page {
    /* Written once, before the page can be found. */
    char magic[8];        /* ZMALLOC_PAGE_MAGIC */
    uint32_t version;     /* ZMALLOC_PAGE_VERSION */
    uint32_t size;        /* of this struct, and of the file, in bytes */
    uint64_t pid;         /* as the process itself sees it: in a container that is not what others see */
    uint64_t start;       /* when the process started: field 22 of its /proc/PID/stat */
    uint64_t since_ns;    /* since when it publishes, by CLOCK_MONOTONIC, in nanoseconds */
    uint64_t interval_ms; /* by which it refreshes the page at the latest; 0: when it reads its figures */
    char allocator[32];   /* such as "jemalloc-5.3.0"; NULs to its end */

    uint32_t sequence; /* odd while what follows is written */
    uint32_t reserved; /* 0 */

    uint64_t refreshed_ns; /* when, by CLOCK_MONOTONIC, in nanoseconds */
    uint64_t wall_ns;      /* when, since 1970 began, UTC, in nanoseconds */

    /* Bytes: figures of zmalloc_report, whose comments say more. */
    uint64_t used;      /* in blocks */
    uint64_t allocated; /* in blocks, as the allocator counts */
    uint64_t active;    /* in pages that hold blocks */
    uint64_t resident;  /* what the allocator holds in memory */
    uint64_t rss;       /* what the process holds in memory */
    uint64_t mapped;    /* address space for blocks */
    uint64_t retained;  /* address space kept without memory */
    uint64_t metadata;  /* the allocator's own data */
    uint64_t muzzy;     /* the kernel may take it */

    uint64_t allocator_frag_smallbins_bytes; /* free slots for small blocks */

    /* Bytes: what the calls of these names return. */
    uint64_t peak;            /* the most used that any reading found */
    uint64_t total_allocated; /* since the start */
    uint64_t total_freed;     /* since the start */
    uint64_t limit;           /* the most that may be used; 0: none */
    uint64_t soft_limit;      /* above this a handler is called; 0: none */
};

/* Nobody but a compiler that pads otherwise can fail here. */
#if (defined(__cplusplus) && __cplusplus >= 201103L) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L)
#ifdef __cplusplus
#define ZMALLOC_PAGE_ASSERT(condition) static_assert(condition, "the layout of the page")
#else
#define ZMALLOC_PAGE_ASSERT(condition) _Static_assert(condition, "the layout of the page")
#endif
ZMALLOC_PAGE_ASSERT(offsetof(struct zmalloc_page, pid) == 16);
ZMALLOC_PAGE_ASSERT(offsetof(struct zmalloc_page, allocator) == 48);
ZMALLOC_PAGE_ASSERT(offsetof(struct zmalloc_page, sequence) == 80);
ZMALLOC_PAGE_ASSERT(offsetof(struct zmalloc_page, used) == 104);
ZMALLOC_PAGE_ASSERT(sizeof(struct zmalloc_page) == 224);
#undef ZMALLOC_PAGE_ASSERT
#endif

#endif
