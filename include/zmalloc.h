/* SPDX-License-Identifier: BSD-3-Clause */
/* zmalloc: an allocator that always knows how many bytes are in use. This header is the manual. */
#ifndef ZMALLOC_H
#define ZMALLOC_H

/*
 * In every call below:
 *
 * - Sizes are bytes. The account counts a block by its usable size: what the allocator set aside for it. That is at
 *   least what was asked for.
 * - Every pointer returned is aligned for max_align_t. See ZMALLOC_QUANTUM for the exception.
 * - zmalloc, zcalloc, zrealloc and zstrdup call the out-of-memory handler when a request fails. They return NULL
 *   only if the handler returned. Their ztry forms never call the handler: they return NULL.
 * - A request of 0 bytes returns a unique pointer that can be freed. Requests above PTRDIFF_MAX fail.
 * - A realloc that fails, for whatever reason, leaves the old block valid, untouched and counted.
 * - `usable` may be NULL. Otherwise the call always writes it: the bytes that may be used, all of them, or 0 if
 *   there is no block.
 * - Blocks come from one allocator, chosen when the library was built. Free them by zfree and its variants alone.
 *   Never free() a z* block, nor zfree() a block from malloc: zlibc_free is for those.
 * - All calls may be made from any thread at any time. In a signal handler only the readings are safe:
 *   zmalloc_used_memory, the totals and the peak.
 *
 * A hardened library finds wrong use. It prints what is wrong, with the call and the pointer, and aborts. It finds:
 *
 * - a pointer to no block in use: the block was freed, or moved by a realloc, or is malloc's, or the pointer leads
 *   into the middle of a block;
 * - a block that was written up to 16 bytes before or past its usable bytes;
 * - a size that the call forbids;
 * - a z* block that is given to zlibc_free.
 *
 * In such a library:
 *
 * - The usable size is what was asked for, or 1 for 0. The account counts that, and neither redzones nor lists.
 * - Every realloc moves the block. zfree_no_tcache is zfree.
 * - The memory of a freed block is filled, and not used again until 4,096 blocks or 1 MiB were freed after it, or
 *   until zmalloc_purge or exit. Then the library checks that nobody wrote to it. This memory is not used memory,
 *   but the allocator's figures count it. A block of more than 1 MiB is not kept.
 *
 * Calls that return int return 0, or a negative errno value, unless their comment says otherwise. On an error they
 * set what they were to write to 0 or ZMALLOC_UNKNOWN, as each says.
 */

#include <stddef.h>
#include <stdint.h>

/*
 * A library built with -Dsymbol_prefix=my_ has my_zmalloc for zmalloc, and so on, where the linker looks, so that it
 * can be linked beside another library that has a call of the same name; zlib's archive has a zcalloc. Programs write
 * zmalloc all the same: the prefix is in the flags of pkg-config. dlsym needs the whole name.
 */
#ifdef ZMALLOC_SYMBOL_PREFIX
#include "zmalloc_symbols.h"
#endif

/** The version of this header, and of the library that it came with. */
#define ZMALLOC_VERSION_MAJOR 0
#define ZMALLOC_VERSION_MINOR 2
#define ZMALLOC_VERSION_PATCH 0
#define ZMALLOC_VERSION "0.2.0"

#if defined(__GNUC__) || defined(__clang__)
#define ZMALLOC_API __attribute__((visibility("default")))
#define ZMALLOC_ATTRIBUTE(list) __attribute__(list)
#else
#define ZMALLOC_API
#define ZMALLOC_ATTRIBUTE(list)
#endif

/*
 * What the compiler may know about a call. The calls that report the usable size carry no alloc_size:
 * _FORTIFY_SOURCE=3 would stop a program that uses every byte it was given. See extend_to_usable.
 */
#define ZMALLOC_RETURNS_BLOCK ZMALLOC_ATTRIBUTE((malloc, warn_unused_result))
#define ZMALLOC_RETURNS_SIZE(argument) ZMALLOC_ATTRIBUTE((alloc_size(argument)))
#define ZMALLOC_RETURNS_PRODUCT(a, b) ZMALLOC_ATTRIBUTE((alloc_size(a, b)))

/** The allocator inside the library, with its version: a string such as "jemalloc-5.3.0". */
#define ZMALLOC_LIB (zmalloc_allocator())

/**
 * Defined where the allocator itself knows the size of every block. zmalloc_size and zmalloc_usable_size are then
 * the same. A library may keep each size in a prefix before the block instead. It then has -DZMALLOC_SIZE_PREFIX in
 * the flags of pkg-config.
 */
#ifndef ZMALLOC_SIZE_PREFIX
#define HAVE_MALLOC_SIZE 1
#endif

/*
 * ZMALLOC_QUANTUM is defined as 8 where the library was built with -Djemalloc_quantum=8. It is then in the flags of
 * pkg-config. Blocks of 24, 40 or 56 bytes take no more than that, and those of up to 8 bytes take 8. In return, a
 * block is aligned for max_align_t only if its usable size is a multiple of 16, and for 8 bytes otherwise. A request
 * that is a multiple of 16 has such a block, and so has every object of a type that needs it, or array of them; what
 * follows such an object in the same block may change that. Calls for aligned blocks align as they always do.
 */

/*
 * Structs with figures begin with their size, so that they can grow: a later version may add fields, at the end and
 * nowhere else. A program and a library of different versions then agree on what is there.
 *
 *     struct zmalloc_report report = {.size = sizeof(report)};
 *     int error = zmalloc_report(&report, 0);
 *
 * - Set size to the size of the struct before the call. In C++: `struct zmalloc_report report = {};` and then
 *   `report.size = sizeof(report);`.
 * - The call writes nothing beyond that size, and sets size to the bytes that it filled. They are fewer if the
 *   library is older than the program's header. The bytes after them are left as they were: 0 with the initialisers
 *   above. ZMALLOC_HAS says whether a field is filled.
 * - The struct can be passed again as the call left it.
 * - A size that is less than the struct had in version 0.2.0 is an error, -EINVAL. Then nothing is written.
 * - In a struct that the library makes (struct zmalloc_mapping), the library has set the size.
 */

/** Whether a field is filled: 1 or 0. record is a pointer to a struct that begins with its size. */
#define ZMALLOC_HAS(record, field) ((uintptr_t) (&(record)->field + 1) - (uintptr_t) (record) <= (record)->size)

/** What the extended calls write for a figure that the allocator or the platform can't report. */
#define ZMALLOC_UNKNOWN SIZE_MAX

/** The same for a difference of two figures. */
#define ZMALLOC_UNKNOWN_DIFFERENCE INT64_MIN

/** A limit that is not set. */
#define ZMALLOC_NO_LIMIT (SIZE_MAX - 1)

#ifdef __cplusplus
#ifdef __GNUC__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* a call and a struct of the same name, as stat is */
#endif
extern "C" {
#endif

/* Allocate. */

/** Allocates size bytes, uninitialised. On failure calls the out-of-memory handler. */
ZMALLOC_API void *zmalloc(size_t size) ZMALLOC_RETURNS_BLOCK ZMALLOC_RETURNS_SIZE(1);

/** As zmalloc; returns NULL on failure. */
ZMALLOC_API void *ztrymalloc(size_t size) ZMALLOC_RETURNS_BLOCK ZMALLOC_RETURNS_SIZE(1);

/** As zmalloc; writes the bytes that may be used to *usable. */
ZMALLOC_API void *zmalloc_usable(size_t size, size_t *usable) ZMALLOC_RETURNS_BLOCK;

/** As ztrymalloc; writes the bytes that may be used to *usable. */
ZMALLOC_API void *ztrymalloc_usable(size_t size, size_t *usable) ZMALLOC_RETURNS_BLOCK;

/**
 * As zmalloc, straight from the arena, without the thread's cache. It is for code that moves blocks to undo
 * fragmentation. With jemalloc only; elsewhere it is zmalloc. Free the block with zfree_no_tcache or zfree.
 */
ZMALLOC_API void *zmalloc_no_tcache(size_t size) ZMALLOC_RETURNS_BLOCK ZMALLOC_RETURNS_SIZE(1);

/** Allocates size bytes, all zero. One argument: for a product use zcalloc_num. */
ZMALLOC_API void *zcalloc(size_t size) ZMALLOC_RETURNS_BLOCK ZMALLOC_RETURNS_SIZE(1);

/** Allocates num times size bytes, all zero. A product that overflows fails; the handler gets SIZE_MAX. */
ZMALLOC_API void *zcalloc_num(size_t num, size_t size) ZMALLOC_RETURNS_BLOCK ZMALLOC_RETURNS_PRODUCT(1, 2);

/** As zcalloc; returns NULL on failure. */
ZMALLOC_API void *ztrycalloc(size_t size) ZMALLOC_RETURNS_BLOCK ZMALLOC_RETURNS_SIZE(1);

/** As zcalloc; writes the bytes that may be used to *usable. Only the first size of them are certainly zero. */
ZMALLOC_API void *zcalloc_usable(size_t size, size_t *usable) ZMALLOC_RETURNS_BLOCK;

/** As ztrycalloc; writes the bytes that may be used to *usable. Only the first size of them are certainly zero. */
ZMALLOC_API void *ztrycalloc_usable(size_t size, size_t *usable) ZMALLOC_RETURNS_BLOCK;

/**
 * Resizes the block at ptr to size bytes, and may move it. Its first bytes stay as they were.
 * zrealloc(NULL, n) is zmalloc(n). zrealloc(ptr, 0) frees the block and returns NULL.
 */
ZMALLOC_API void *zrealloc(void *ptr, size_t size) ZMALLOC_RETURNS_SIZE(2);

/** As zrealloc; returns NULL on failure, and leaves the old block as it was. */
ZMALLOC_API void *ztryrealloc(void *ptr, size_t size) ZMALLOC_RETURNS_SIZE(2);

/** As zrealloc; writes the bytes that may be used to *usable. */
ZMALLOC_API void *zrealloc_usable(void *ptr, size_t size, size_t *usable);

/** As ztryrealloc; writes the bytes that may be used to *usable: 0 on failure, although the old block stays. */
ZMALLOC_API void *ztryrealloc_usable(void *ptr, size_t size, size_t *usable);

/**
 * Allocates size bytes at an address that is a multiple of alignment, which must be a power of two. The address is
 * always aligned for max_align_t at least. Any other alignment fails as if there were no memory. zrealloc keeps no
 * alignment beyond that of max_align_t. With mimalloc 2.0.9 the usable size, and so what is counted, may differ from
 * block to block for the same request, and be less than the block takes.
 */
ZMALLOC_API void *zaligned_alloc(size_t alignment, size_t size) ZMALLOC_RETURNS_BLOCK ZMALLOC_RETURNS_SIZE(2);

/** As zaligned_alloc; returns NULL on failure. */
ZMALLOC_API void *ztryaligned_alloc(size_t alignment, size_t size) ZMALLOC_RETURNS_BLOCK ZMALLOC_RETURNS_SIZE(2);

/** As zaligned_alloc; writes the bytes that may be used to *usable. */
ZMALLOC_API void *zaligned_alloc_usable(size_t alignment, size_t size, size_t *usable) ZMALLOC_RETURNS_BLOCK;

/** As ztryaligned_alloc; writes the bytes that may be used to *usable. */
ZMALLOC_API void *ztryaligned_alloc_usable(size_t alignment, size_t size, size_t *usable) ZMALLOC_RETURNS_BLOCK;

/** A copy of the string in a block of its own; NULL for NULL. */
ZMALLOC_API char *zstrdup(const char *string) ZMALLOC_RETURNS_BLOCK;

/* Free. */

/** Frees a block that any of the calls above returned. NULL is ignored. */
ZMALLOC_API void zfree(void *ptr);

/** As zfree; writes the bytes that could be used in the block to *usable, 0 for NULL. */
ZMALLOC_API void zfree_usable(void *ptr, size_t *usable);

/**
 * As zfree, for callers that know the block's size: what was asked for when the block was made or last resized, its
 * usable size, or anything between. For a block of zaligned_alloc it must be the usable size. With jemalloc this
 * saves a look-up, and a wrong size is as bad as a wrong pointer. NULL is ignored.
 */
ZMALLOC_API void zfree_with_size(void *ptr, size_t size);

/** As zfree, without the thread's cache. With jemalloc only; elsewhere it is zfree. */
ZMALLOC_API void zfree_no_tcache(void *ptr);

/** The C library's free(), for blocks that other libraries took from malloc. Not counted. */
ZMALLOC_API void zlibc_free(void *ptr);

/* Size. */

/** What the account counts for the block: its usable size, and its prefix if there is one. 0 for NULL. */
ZMALLOC_API size_t zmalloc_size(void *ptr);

/** The bytes of the block that may be used, at least as many as were asked for. 0 for NULL. */
ZMALLOC_API size_t zmalloc_usable_size(void *ptr);

/**
 * The usable size that a block of size bytes would have; 0 if size is too large for any block. libc has no such
 * query: then it is size itself, and the block may be larger. For large sizes mimalloc reports less than it gives:
 * 2.0.9 above 128 KiB, 3.6.0 above 512 KiB.
 */
ZMALLOC_API size_t zmalloc_good_size(size_t size);

/**
 * Returns ptr, and lets the compiler know that size bytes of it may be used. To use more of a block than was asked
 * for, use the pointer that this call returns. Otherwise, under _FORTIFY_SOURCE=3, the compiler holds the program to
 * the size in the call that made the block.
 *
 *     char *text = zmalloc(100);
 *     size_t usable = zmalloc_usable_size(text);
 *     text = extend_to_usable(text, usable);
 */
ZMALLOC_API void *extend_to_usable(void *ptr, size_t size) ZMALLOC_ATTRIBUTE((noinline)) ZMALLOC_RETURNS_SIZE(2);

/* Account. */

/**
 * The bytes in use: the sum of zmalloc_size over all blocks that are not freed, in all threads, ended threads
 * included. The sum is exact when no other thread allocates or frees during the call. Otherwise it is off by no more
 * than what they do during the call. The call takes no lock, allocates nothing and never waits. It must return: a
 * reading that is left by longjmp from a signal handler, or by asynchronous cancellation, keeps every later thread
 * from ending.
 *
 * One hole is known. A thread's first z* call ever may be an allocation in the last round of its key destructors. The
 * library does not notice that thread's exit. A later reading may then read memory that is gone, and crash.
 */
ZMALLOC_API size_t zmalloc_used_memory(void);

/**
 * Bytes allocated, and bytes freed, since the start, in all threads. Every block counts by its zmalloc_size. A
 * reallocation counts as one block freed and one allocated. The totals only grow. Where size_t has 32 bits they wrap;
 * differences stay right.
 */
ZMALLOC_API size_t zmalloc_total_allocated(void);

/** See zmalloc_total_allocated. */
ZMALLOC_API size_t zmalloc_total_freed(void);

/**
 * The same for what the calling thread did itself, exact at any time. What a piece of work allocated is the
 * difference of two readings. A thread may free what other threads allocated.
 */
ZMALLOC_API size_t zmalloc_thread_allocated(void);

/** See zmalloc_thread_allocated. */
ZMALLOC_API size_t zmalloc_thread_freed(void);

/**
 * The most bytes in use that any reading found since the start or the last reset. This call is a reading, and so is
 * zmalloc_used_memory. A rise and fall between two readings is not seen: to see it would slow down every allocation.
 * For a more exact peak, read more often; a reading takes nanoseconds.
 */
ZMALLOC_API size_t zmalloc_peak_memory(void);

/** Sets the peak to the bytes in use now. */
ZMALLOC_API void zmalloc_reset_peak_memory(void);

/* Limits. */

/**
 * Sets the most bytes that may be in use, by zmalloc_used_memory; 0 is no limit. A request beyond the limit fails as
 * if there were no memory, and a realloc then leaves its block as it was. If more is in use already, it stays.
 * Freeing and shrinking always work.
 *
 * The blocks that the program holds never pass the limit, except by requests that are under way in other threads
 * when it is set. A reading may pass it: it can find the old block of a realloc beside the new one, and miss what
 * others free while it sums. Threads take what is left in steps of 64 KiB at most, and of less where less is left.
 * Before a request is refused, the library takes back what other threads took and don't use. A request may be
 * refused if it would fit only by what another thread frees in that moment.
 *
 * While no limit is set this costs nothing. It never fails.
 */
ZMALLOC_API int zmalloc_set_limit(size_t bytes);

/** The limit that is set; 0: none. */
ZMALLOC_API size_t zmalloc_limit(void);

/**
 * Sets a soft limit and its handler; 0 is no soft limit. When the bytes in use pass the limit, the library calls the
 * handler once, with the bytes in use and the context. It does so in the thread that passed the limit, after the
 * call got its block and before it returns. The handler is called again only after the bytes in use were seen below
 * bytes less hysteresis; the library sees that at the latest after each thread has allocated 64 KiB there. It is
 * never called while it runs. The handler may make z* calls, those that set limits included, and must return. A soft
 * limit refuses nothing.
 *
 * If the soft limit is set again while it is passed, the next allocation calls the handler. Another thread may still
 * call the old handler while a new one is set, and shortly after. -EINVAL if handler is NULL, or hysteresis
 * above bytes; -ENOMEM.
 */
ZMALLOC_API int zmalloc_set_soft_limit(size_t bytes, size_t hysteresis, void (*handler)(size_t used, void *context),
                                       void *context);

/** The soft limit that is set; 0: none. */
ZMALLOC_API size_t zmalloc_soft_limit(void);

/* Failure. */

/*
 * When memory has run out, threads may go on and new ones may begin. Their calls fail like any other, and used memory
 * stays exact. Some limits lie outside the library:
 *
 * - The system's own jemalloc 5.3, which is not the one that we build, can crash in the first call of such a new
 *   thread.
 * - glibc can end the process there, if a running process loaded the library and its thread-local storage is
 *   dynamic.
 * - tcmalloc writes a line to standard error for failures.
 * - mimalloc 2 takes 32 MiB at once. With less than about 100 MiB a new thread may get none, though all blocks are
 *   freed. mimalloc 3 maps 1 GiB for the first block, and all of that counts as address space and as data. A lower
 *   limit on either that is set after the first block leaves no room for a new thread. Under a limit on address space
 *   that was there before and into which it does not fit, it makes do with less, so there may be more room for
 *   threads. With MIMALLOC_ARENA_RESERVE=32M in the environment it always does.
 */

/**
 * Sets the handler that is called when a request fails, with the size asked for. NULL restores the default, which
 * prints the size to standard error and aborts. The handler runs in the thread whose request failed. If it returns,
 * that call returns NULL. It may free, and may allocate with the ztry calls.
 */
ZMALLOC_API void zmalloc_set_oom_handler(void (*handler)(size_t size));

/** How often a request is tried again when the handler returns that it has freed something. */
#define ZMALLOC_MOST_RETRIES 64

/**
 * As zmalloc_set_oom_handler, for a handler that has a context and an answer. It replaces the other kind. If the
 * handler returns other than 0, it has freed something: the request is tried again, at most ZMALLOC_MOST_RETRIES
 * times. If it returns 0, the call returns NULL. NULL restores the default.
 *
 * Both kinds may be set while other threads allocate. Those threads may call the old handler for a while yet. Each
 * pair of a handler and a context takes a few bytes for good. -ENOMEM if there are none for a new pair; then nothing
 * changes.
 */
ZMALLOC_API int zmalloc_set_oom_retry_handler(int (*handler)(size_t size, void *context), void *context);

/* The process. */

/*
 * These ask the operating system. pid is a process number, or -1 for this process. Some questions have two forms. The
 * short form is the one that servers know. It returns the figure, or 0 if the figure is unknown. The extended form
 * reports an error instead:
 *
 *   -EINVAL     a NULL argument, an empty field name, or a pid that can be no process (0, or below -1)
 *   -ESRCH      no such process; it ended or became another program, also while it was read; or it has no memory:
 *               a zombie, one of the kernel's own, or, for other processes, one whose first thread has ended
 *   -EACCES     the process is another user's
 *   -ENOENT     no such field in this kernel
 *   -EMFILE     this process has no file descriptor left
 *   -EOVERFLOW  the figure does not fit
 *   -EIO        the kernel's text is none that this library knows
 *   -ENOSYS     this platform can't report it, or /proc is not mounted
 *
 * They allocate nothing, and need about 24 KiB of stack.
 */

/**
 * Resident set size of this process, in bytes: what it holds of the machine's memory. 0 if unknown. Linux counts
 * pages of hugetlbfs (MAP_HUGETLB) neither here nor in Pss, Private_Clean or Private_Dirty. They are in
 * Private_Hugetlb and Shared_Hugetlb alone.
 */
ZMALLOC_API size_t zmalloc_get_rss(void);

/**
 * As zmalloc_get_rss. Source on Linux: /proc/self/statm. On machines with many processors it may lag by some hundred
 * KiB. On error *bytes is 0.
 */
ZMALLOC_API int zmalloc_rss(size_t *bytes);

/** Resident set size of any process; on Linux and FreeBSD, of other users' processes too. On error *bytes is 0. */
ZMALLOC_API int zmalloc_process_rss(long pid, size_t *bytes);

/**
 * Bytes that the process has written to and shares with none (Private_Dirty in smaps), without pages of hugetlbfs.
 * 0 if unknown.
 */
ZMALLOC_API size_t zmalloc_get_private_dirty(long pid);

/** As zmalloc_get_private_dirty. On error *bytes is 0. */
ZMALLOC_API int zmalloc_private_dirty(long pid, size_t *bytes);

/**
 * Sum, over all mappings of the process, of a field of /proc/PID/smaps, in bytes. The name is matched whole, with
 * or without its colon: "Rss", "Rss:", "Pss", "Private_Dirty", "Swap", … 0 if unknown. Pages of
 * hugetlbfs are in "Private_Hugetlb" and "Shared_Hugetlb" alone. Other platforms have the fields that zmalloc_smaps
 * reports there.
 */
ZMALLOC_API size_t zmalloc_get_smap_bytes_by_field(char *field, long pid);

/** As zmalloc_get_smap_bytes_by_field. On error *bytes is 0. */
ZMALLOC_API int zmalloc_smap_bytes_by_field(const char *field, long pid, size_t *bytes);

/** The most fields that this version reports, and the longest name of one in any version. Linux has some 25. */
#define ZMALLOC_MOST_FIELDS 48
#define ZMALLOC_LONGEST_FIELD 31

/** A figure by its name, in bytes. This struct does not grow: arrays are made of it. */
struct zmalloc_field {
    char name[ZMALLOC_LONGEST_FIELD + 1]; /* without a colon: "Rss" */
    size_t bytes;                         /* in one mapping, or their sum */
};

/**
 * Writes to fields the sums, over all mappings of the process, of the fields that the kernel sums: those of
 * /proc/PID/smaps_rollup or, where that is missing, all those of smaps.
 *
 * Set *count to how many fields there is room for: ZMALLOC_MOST_FIELDS is enough for the library that came with this
 * header. The call sets it to how many fields it found. If they are more than there is room for, it writes as many as
 * fit, and returns -ERANGE. On any other error *count is 0.
 *
 * macOS and FreeBSD: the sums of the mappings' fields. Rss is the kernel's own sum for the process. macOS also has
 * Footprint: what the system compares with the process's limit.
 */
ZMALLOC_API int zmalloc_smaps(long pid, struct zmalloc_field *fields, size_t *count);

/** A mapping of a process: a range of its addresses, and what is there. */
struct zmalloc_mapping {
    size_t size;                        /* of this struct, as far as the library filled it: see ZMALLOC_HAS */
    uint64_t begin;                     /* first address */
    uint64_t end;                       /* address after the last */
    uint64_t offset;                    /* where in the file the range begins, in bytes */
    const char *permissions;            /* "r-xp": read, write, execute, and private or shared. FreeBSD:
                                           always "p" for memory without a file */
    const char *path;                   /* as the kernel writes it: a file's ("\012" is a newline in its name), a name
                                           such as "[heap]", or "". It is cut after 4,096 bytes */
    const struct zmalloc_field *fields; /* Linux: those of smaps that are sizes. macOS: Size, Rss, Private_Dirty,
                                           Swap. FreeBSD: Size, Rss, Private */
    size_t count;                       /* how many fields */
};

/**
 * Calls visit for each mapping of the process, in the order of addresses. The mapping is valid during that call.
 * visit may make z* calls. If it returns other than 0, the call stops and returns that. An error, or the end of the
 * process, may come after some visits. Linux makes the text as it is read: a mapping that changes meanwhile may be
 * reported as it was or as it is.
 */
ZMALLOC_API int zmalloc_mappings(long pid, int (*visit)(const struct zmalloc_mapping *mapping, void *context),
                                 void *context);

/** Physical memory of this machine, in bytes. 0 if unknown. */
ZMALLOC_API size_t zmalloc_get_memory_size(void);

/** As zmalloc_get_memory_size. On error *bytes is 0. */
ZMALLOC_API int zmalloc_memory_size(size_t *bytes);

/** Limits on memory, in bytes. ZMALLOC_NO_LIMIT: none is set. ZMALLOC_UNKNOWN: the limit is unknown. */
struct zmalloc_memory_limits {
    size_t size;          /* of this struct: set before the call, which sets it to what it filled */
    size_t physical;      /* the machine's memory, as zmalloc_memory_size */
    size_t cgroup;        /* Linux: the least of the control group's and of those above it, as far as it is mounted */
    size_t address_space; /* RLIMIT_AS: of all mappings together */
    size_t data;          /* RLIMIT_DATA: of private writable mappings, the heap among them */
};

/**
 * Writes each limit on its own. What passes physical or cgroup makes the kernel kill a process; the other two make
 * allocations fail. -EINVAL if limits is NULL, or its size is not set or too small; then nothing is written.
 */
ZMALLOC_API int zmalloc_memory_limits(struct zmalloc_memory_limits *limits);

/**
 * The least of those limits, and of what pointers reach. The process can't have more memory than this. If it is in a
 * control group whose limit can't be read, that limit may be the least, and the call returns the error: -ENODATA if
 * no mount shows the group, -EACCES or another if the group can't be opened, -ENOSYS if /proc is not mounted.
 * zmalloc_memory_limits still has the others; the least of them is only an upper bound. On error *bytes is 0.
 */
ZMALLOC_API int zmalloc_memory_limit(size_t *bytes);

/**
 * Writes to *mode when the kernel makes this process's pages huge (transparent huge pages). 0: never. 1: where
 * madvise asks for it. 2: always. Sources: the kernel's own setting, and what the process has set. On error *mode is
 * -1.
 */
ZMALLOC_API int zmalloc_thp(int *mode);

/**
 * Forbids (1) huge pages in this process and its later children, or allows (0) them again. -ENOSYS if the kernel, or
 * the sandbox that the process is in, can't.
 */
ZMALLOC_API int zmalloc_disable_thp(int disable);

/**
 * Writes field number i (from 1, as in proc(5)) of /proc/self/stat to *res. Numbers only: fields 2 and 3 are
 * text. Returns 1, or 0 if it could not.
 */
ZMALLOC_API int get_proc_stat_ll(int i, long long *res);

/**
 * Gives the whole pages inside the block back to the operating system. The block stays allocated. What was in those
 * pages is lost, and they read as zero; locked pages stay as they are. It is for processes that won't read a block
 * again, such as a forked child that has saved it.
 */
ZMALLOC_API void zmadvise_dontneed(void *ptr);

/* The allocator. */

/** The allocator inside the library and the version it was built with: "jemalloc-5.3.0". Static, never NULL. */
ZMALLOC_API const char *zmalloc_allocator(void);

/**
 * What the allocator reports of itself now, in bytes, all its users in this process included:
 *
 *   allocated  in blocks handed out to the program; jemalloc counts those that wait in threads' caches too
 *   active     in pages that hold such blocks, so at least allocated; the rest is fragmentation
 *   resident   in memory that the allocator holds from the kernel, at least active; the rest can be purged. An
 *              upper bound: pages that were never touched may be among it (with mimalloc 2, all that is committed).
 *              In locked memory it is no bound: all that is mapped is in RSS, and jemalloc's purge leaves it there
 *
 * An unknown figure is 0. Any pointer may be NULL. Returns 1.
 */
ZMALLOC_API int zmalloc_get_allocator_info(size_t *allocated, size_t *active, size_t *resident);

/**
 * As zmalloc_get_allocator_info; an unknown figure is ZMALLOC_UNKNOWN. Sources: jemalloc's stats.allocated, active
 * and resident; tcmalloc's current_allocated_bytes, heap_size less free and unmapped pages, total_physical_bytes;
 * mallinfo2's uordblks + hblkhd and arena + hblkhd, if malloc and mallinfo2 are both glibc's own; darwin's
 * size_in_use; mimalloc 2's current_commit, which in mimalloc 3 does not fall and so is unknown there. With libc it
 * takes longer the more free blocks there are. glibc 2.43 counts 16 bytes more for each realloc that resized a block
 * with a mapping of its own, as long as any such block is left.
 */
ZMALLOC_API int zmalloc_allocator_info(size_t *allocated, size_t *active, size_t *resident);

/** As zmalloc_background_thread, without a result. */
ZMALLOC_API void set_jemalloc_bg_thread(int enable);

/**
 * Starts (1) or ends (0) the allocator's background thread. It gives unused memory back after the decay times,
 * without a z* call. With jemalloc; elsewhere -ENOTSUP. A forked child has none until it starts its own.
 */
ZMALLOC_API int zmalloc_background_thread(int enable);

/** Writes whether the background thread is wanted to *enabled: 1 or 0. With jemalloc; elsewhere 0 and -ENOTSUP. */
ZMALLOC_API int zmalloc_background_thread_enabled(int *enabled);

/**
 * Writes after how many milliseconds without use the allocator gives pages back. After *dirty_ms a dirty page becomes
 * muzzy: the kernel may take it. After *muzzy_ms more it becomes clean: the kernel has it. -1 is never, 0 is at once.
 * With jemalloc; elsewhere -1 and -ENOTSUP.
 *
 * The times pass only in calls that reach an arena, which most calls don't, and in the background thread: without it
 * an idle program gives nothing back. Free memory that has merged to 8 MiB or more goes back at once, unless the time
 * is -1.
 */
ZMALLOC_API int zmalloc_decay(long *dirty_ms, long *muzzy_ms);

/**
 * Sets both times, for all arenas; zmalloc_decay says when they pass. With jemalloc; elsewhere -ENOTSUP. -EINVAL
 * below -1, and above some 584 years.
 */
ZMALLOC_API int zmalloc_set_decay(long dirty_ms, long muzzy_ms);

/** As zmalloc_purge; returns 0, or -1 on error. In spite of its name it works with every allocator. */
ZMALLOC_API int jemalloc_purge(void);

/**
 * Makes the allocator give back to the operating system, at once, what it holds and no block needs: jemalloc's arenas
 * and this thread's cache, tcmalloc's page heap and this thread's cache, libc's heap, mimalloc's free segments. Other
 * threads' caches stay. So do pages that share a unit of the allocator's (a page, mimalloc's segment) with a block.
 * With glibc up to 2.41 the ends of other threads' arenas stay, too, where the blocks made last were. The end of this
 * thread's own stays if it is less than twice the largest block with a mapping of its own that was ever freed.
 *
 * Writes to *returned, which may be NULL, by how much RSS has fallen. 0: it has not fallen; other threads may have
 * taken more meanwhile. ZMALLOC_UNKNOWN: RSS is unknown.
 */
ZMALLOC_API int zmalloc_purge(size_t *returned);

/* Fragmentation. */

/*
 * Small blocks stand side by side in slabs: pages for blocks of one size. Such pages can go back to the operating
 * system only when no block is left in them. So a program that has freed most of its blocks may hold nearly as many
 * pages as before. To defragment is to move the blocks that are left closer together. Only the program can do that,
 * as it knows all pointers to a block.
 *
 * These calls need jemalloc, with its experimental.utilization.query and its statistics, as the one that we build has
 * them. Elsewhere they return -ENOTSUP, and change nothing. A pointer that is no block is as wrong here as in zfree.
 * They may fail with -ENOMEM, too, while jemalloc has no memory for its answers.
 */

/**
 * Writes to *helps whether to move the block would help to empty a slab: 1 or 0. It does if the slab is not the one
 * that new blocks come from, is not full, is no fuller than the others of its size class on average, and if there is
 * room for its blocks in those. Large blocks have their pages to themselves: 0. NULL: 0. On error *helps is 0.
 * -EINVAL if helps is NULL.
 *
 * To move the block, allocate with zmalloc_no_tcache, copy, and free with zfree_no_tcache. The thread's cache would
 * give out places in such slabs again.
 */
ZMALLOC_API int zmalloc_defrag_hint(void *ptr, int *helps);

/**
 * The same for count blocks; entries may be NULL. If count is 0, nothing is written, and the result says whether the
 * allocator can tell. On error all hints are 0. -EINVAL if a pointer is NULL and count is not 0.
 */
ZMALLOC_API int zmalloc_defrag_hints(void *const *blocks, size_t count, int *hints);

/** What a call of zmalloc_defrag did. */
struct zmalloc_defrag {
    size_t size;        /* of this struct: set before the call, which sets it to what it filled */
    size_t position;    /* where the next call starts: the number of pointers, if all are done */
    size_t asked;       /* blocks that were asked about: entries that are not NULL */
    size_t moved;       /* blocks that were moved */
    size_t moved_bytes; /* and their bytes, by zmalloc_size */
    size_t refused;     /* blocks that stayed where they are, as there was no memory for another */
    size_t freed_bytes; /* in slabs that their last block has left: by so much the allocator's active bytes fell, if
                           no other thread allocated from such slabs or freed into them meanwhile */
};

/**
 * Moves those of the blocks whose move helps, and writes their new addresses into the array. Entries may be NULL. A
 * moved block is as large and as well aligned as before, and holds the same. It counts as one block freed and one
 * allocated, like a reallocation. No other thread may use the blocks or the array meanwhile, and nobody the old
 * addresses afterwards. No block may stand in the array twice.
 *
 * The call begins at blocks[start], and returns when all are done, or after about max_us microseconds; 0 is without
 * end. At least one is done. The array may change between two calls: who is missed will be met in the next round.
 *
 *     struct zmalloc_defrag step = {.size = sizeof(step)};
 *     while (step.position < count && zmalloc_defrag(blocks, count, step.position, 500, &step) == 0) {
 *         serve_others();
 *     }
 *
 * Pages that became free go back after the decay times, or at once by zmalloc_purge. A hardened library quarantines
 * the old places like any freed block. So no slab is empty before zmalloc_purge, and freed_bytes is 0. -EINVAL if
 * done is NULL, its size is not set or too small, or blocks is NULL and count is not 0; then nothing is written. On
 * any other error the figures are those of what was done before it.
 */
ZMALLOC_API int zmalloc_defrag(void **blocks, size_t count, size_t start, size_t max_us, struct zmalloc_defrag *done);

/* All of it. */

/**
 * Where this process's memory is, in bytes. An unknown figure is ZMALLOC_UNKNOWN.
 *
 * The first five are levels, from what blocks use up to what the process holds. Then come the differences: what each
 * level adds to the nearest known level below it. If a level is unknown, its difference is
 * ZMALLOC_UNKNOWN_DIFFERENCE, and its part is in the next difference. So used and the known differences always add
 * up to rss. A difference can be negative: levels are read one after another, and resident may count pages that were
 * never touched.
 */
struct zmalloc_report {
    size_t size; /* of this struct: set before the call, which sets it to what it filled */

    size_t used;      /* zmalloc_used_memory */
    size_t allocated; /* see zmalloc_allocator_info */
    size_t active;    /* see zmalloc_allocator_info */
    size_t resident;  /* see zmalloc_allocator_info */
    size_t rss;       /* zmalloc_rss; with the walk, the sum that goes with the walk's figures */

    int64_t allocator_overhead_bytes; /* allocated beyond used: the allocator's other users, caches, headers */
    int64_t allocator_frag_bytes;     /* active beyond allocated: free space in pages that hold blocks */
    int64_t allocator_rss_bytes;      /* resident beyond active: what a purge could give back, and metadata */
    int64_t rss_overhead_bytes;       /* rss beyond resident: code, stacks, other libraries' memory */

    size_t mapped;   /* address space that the allocator has for blocks. jemalloc: stats.mapped; tcmalloc: heap_size
                        less what is unmapped; libc: arena + hblkhd; darwin: size_allocated of all zones */
    size_t retained; /* address space that it keeps and whose memory the kernel has back. jemalloc: stats.retained;
                        tcmalloc: pageheap_unmapped_bytes */
    size_t metadata; /* for its own use. jemalloc: stats.metadata; tcmalloc: total_physical_bytes less mapped */

    double mem_fragmentation_ratio;        /* rss / used; NAN if either is 0 or unknown */
    double allocator_frag_smallbins_ratio; /* slots for small blocks / slots in use. jemalloc; NAN if unknown */

    /* Only with the walk; Linux: of smaps_rollup. */
    size_t pss;           /* rss, with pages that n processes share counted as an n-th */
    size_t uss;           /* Private_Clean + Private_Dirty: in pages mapped nowhere else. If the process ended, these
                             would be free, but for shared memory that another holds by a descriptor; and so would
                             pages mapped here twice, which are not in it */
    size_t private_dirty; /* Private_Dirty */
    size_t swap;          /* Swap: not in rss */
    size_t huge_pages;    /* AnonHugePages: in huge pages without a file */

    /* Pages of hugetlbfs. They are in no other figure: neither in rss, pss, uss nor in private_dirty. */
    size_t private_hugetlb; /* Private_Hugetlb: mapped by this process alone */
    size_t shared_hugetlb;  /* Shared_Hugetlb: mapped by others too */

    size_t muzzy; /* what the allocator has told the kernel that it may take: it may be in rss, and is not in
                     resident. jemalloc: stats.arenas.all.pmuzzy; 0 unless zmalloc_set_decay sets muzzy_ms */
    size_t allocator_frag_smallbins_bytes; /* free places in slabs that hold small blocks, a part of
                                              allocator_frag_bytes: what zmalloc_defrag can make less. jemalloc */
};

/**
 * Fills the report. With walk 1 the kernel walks the page tables, which takes about 1 ms for each GiB. With walk 0
 * the figures of the walk are unknown. -EINVAL if report is NULL, or its size is not set or too small; then nothing
 * is written.
 */
ZMALLOC_API int zmalloc_report(struct zmalloc_report *report, int walk);

/* Another process's figures. */

/*
 * The kernel knows what a process holds of the machine's memory. What of it is in use, only the process knows. It may
 * publish that, in a page of memory that others of its user can find by its number. While a process publishes nothing
 * this costs nothing. Linux; elsewhere -ENOSYS.
 *
 * The page is a file in memory that only its user and root can read. It is gone when the process ends or runs another
 * program. zmalloc_page.h has its layout, for readers without this library.
 */

/**
 * Publishes this process's figures (1), or ends that (0). Every zmalloc_report, and each sample of a monitor in
 * Python, refreshes them. With interval_ms above 0 a thread of the library's own does so too, at least so often. A
 * forked child publishes nothing until it makes this call itself.
 *
 * The process has a file descriptor for the page, which is closed on exec. If the program closes it, or changes its
 * user, the next refresh makes a new page. Calling again refreshes and sets the interval. After a change of its user
 * the kernel lets root alone look at a process (prctl, PR_SET_DUMPABLE).
 *
 * -EINVAL if enable is neither 0 nor 1, or for an interval of more than 24 days; -EMFILE without a descriptor,
 * -EAGAIN without a thread; -EPERM or -ENOSYS in a sandbox without memfd_create or /proc; -ENOMEM. After an error
 * nothing is published.
 */
ZMALLOC_API int zmalloc_publish(int enable, size_t interval_ms);

/** What a process has published, in bytes. An unknown figure is ZMALLOC_UNKNOWN. */
struct zmalloc_published {
    size_t size; /* of this struct: set before the call, which sets it to what it filled */

    uint64_t wall_ns;     /* when the figures were read: nanoseconds since 1970 began, UTC */
    uint64_t age_us;      /* how long ago that is, in microseconds */
    uint64_t interval_ms; /* in what time the process refreshes them by itself; 0: when it reads its figures */
    char allocator[32];   /* the allocator in that process: "jemalloc-5.3.0" */

    size_t used;      /* see zmalloc_report, as of the next ones */
    size_t allocated; /* see zmalloc_allocator_info */
    size_t active;    /* see zmalloc_allocator_info */
    size_t resident;  /* see zmalloc_allocator_info */
    size_t rss;       /* zmalloc_rss, at the same time */
    size_t mapped;    /* address space that the allocator has for blocks */
    size_t retained;  /* address space that it keeps and whose memory the kernel has back */
    size_t metadata;  /* for its own use */
    size_t muzzy;     /* what the allocator has told the kernel that it may take */

    size_t allocator_frag_smallbins_bytes; /* free places in slabs that hold small blocks */

    size_t peak;            /* zmalloc_peak_memory */
    size_t total_allocated; /* zmalloc_total_allocated */
    size_t total_freed;     /* zmalloc_total_freed */
    size_t limit;           /* zmalloc_limit; ZMALLOC_NO_LIMIT if none is set */
    size_t soft_limit;      /* zmalloc_soft_limit; ZMALLOC_NO_LIMIT if none is set */
};

/**
 * Reads what a process has published; pid is its number, or -1 for this process. A process that contains the library
 * twice, as in a program and in a module for Python, may have two pages: the one that was made first counts. On an
 * error all figures are unknown, and allocator is "":
 *
 *   -EINVAL           a pid that can be no process; or published is NULL, or its size is not set or too small: then
 *                     nothing is written
 *   -ESRCH            no such process, or it has no memory
 *   -EACCES           the process is another user's
 *   -ENOENT           it publishes nothing
 *   -ESTALE           it has not refreshed the page for three times its interval and 10 seconds more: it is stopped
 *                     or stuck. wall_ns, age_us and interval_ms are set
 *   -EAGAIN           it was writing all the time, for a tenth of a second
 *   -EPERM            the page is another process's or another user's; a child may have it from its parent
 *   -EPROTONOSUPPORT  the page is another version's
 *   -EBADMSG          the page is no such page: too short or too long, not sealed, or with figures that can't be
 *   -EOVERFLOW        a figure does not fit
 *   -EMFILE           as for the other questions about processes
 *   -ENOSYS           likewise
 */
ZMALLOC_API int zmalloc_published(long pid, struct zmalloc_published *published);

#ifdef __cplusplus
}
#ifdef __GNUC__
#pragma GCC diagnostic pop
#endif
#endif

#endif
