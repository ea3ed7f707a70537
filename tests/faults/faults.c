/* SPDX-License-Identifier: BSD-3-Clause */
/* The wrapped calls, and the table of the ways in which each can fail. */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

/* Calls, as bits of a set. */
enum {
    ALLOCATE = 1 << 0,
    ALLOCATE_ZEROED = 1 << 1,
    ALLOCATE_ALIGNED = 1 << 2,
    REALLOCATE = 1 << 3,
    OF_ALLOCATOR = ALLOCATE | ALLOCATE_ZEROED | ALLOCATE_ALIGNED | REALLOCATE,
    ASK = 1 << 4,
    ASK_BY_NUMBER = 1 << 5,
    ASK_FOR_NUMBER = 1 << 6,
    MAP = 1 << 7,
    ADVISE = 1 << 8,
    OPEN = 1 << 9,
    READ = 1 << 10,
    SEEK = 1 << 11,
    STAT_SYSTEM = 1 << 12,
    LOOK = 1 << 13,
    CONTROL = 1 << 14,
    COUNT_PAGES = 1 << 15,
    GET_LIMIT = 1 << 16,
    CREATE_KEY = 1 << 17,
    SET_KEY = 1 << 18,
    HANDLE_FORK = 1 << 19,
    EVERY = (1 << 20) - 1,
};

/* In place of an errno: read gives a byte at a time, or nothing more. */
enum { SHORT = -1, END = -2 };

enum { A_WHILE = 50 };

struct fault {
    const char *name;
    int calls;
    int error;     /* 0: each call has its own */
    bool harmless; /* it is as if nothing had happened, but for some time */
};

/* An interruption would go on forever, and is no fault then: it ends after a while. */
static const struct fault faults[] = {
    {"everything", EVERY, 0, false},
#ifdef FAULTS_JEMALLOC
    {"je_malloc_default", ALLOCATE, ENOMEM, false},
    {"je_calloc", ALLOCATE_ZEROED, ENOMEM, false},
    {"je_mallocx", ALLOCATE_ALIGNED, ENOMEM, false},
    {"je_realloc", REALLOCATE, ENOMEM, false},
    {"je_mallctl EAGAIN", ASK, EAGAIN, false},
    {"je_mallctl EFAULT", ASK, EFAULT, false},
    {"je_mallctl ENOENT", ASK, ENOENT, false},
    {"je_mallctlbymib EAGAIN", ASK_BY_NUMBER, EAGAIN, false},
    {"je_mallctlnametomib EAGAIN", ASK_FOR_NUMBER, EAGAIN, false},
#elif defined(FAULTS_TCMALLOC)
    {"tc_malloc", ALLOCATE, ENOMEM, false},
    {"tc_calloc", ALLOCATE_ZEROED, ENOMEM, false},
    {"tc_memalign", ALLOCATE_ALIGNED, ENOMEM, false},
    {"tc_realloc", REALLOCATE, ENOMEM, false},
    {"MallocExtension_GetNumericProperty", ASK, ENOENT, false},
#elif defined(FAULTS_MIMALLOC)
    {"mi_malloc", ALLOCATE, ENOMEM, false},
    {"mi_zalloc", ALLOCATE_ZEROED, ENOMEM, false},
    {"mi_malloc_aligned_at", ALLOCATE_ALIGNED, ENOMEM, false},
    {"mi_realloc", REALLOCATE, ENOMEM, false},
#else
    {"malloc", ALLOCATE, ENOMEM, false},
    {"calloc", ALLOCATE_ZEROED, ENOMEM, false},
    {"posix_memalign", ALLOCATE_ALIGNED, ENOMEM, false},
    {"realloc", REALLOCATE, ENOMEM, false},
#endif
    {"mmap ENOMEM", MAP, ENOMEM, false},
    {"madvise ENOMEM", ADVISE, ENOMEM, false},
    {"openat EMFILE", OPEN, EMFILE, false},
    {"openat ENFILE", OPEN, ENFILE, false},
    {"openat ENOMEM", OPEN, ENOMEM, false},
    {"openat EACCES", OPEN, EACCES, false},
    {"openat EPERM", OPEN, EPERM, false},
    {"openat ENOENT", OPEN, ENOENT, false},
    {"openat ESRCH", OPEN, ESRCH, false},
    {"openat EINTR", OPEN, EINTR, true},
    {"openat and access ENOENT", OPEN | LOOK, ENOENT, false},
    {"read EIO", READ, EIO, false},
    {"read ESRCH", READ, ESRCH, false},
    {"read EINVAL", READ, EINVAL, false},
    {"read EINTR", READ, EINTR, true},
    {"read short", READ, SHORT, false},
    {"read end", READ, END, false},
    {"lseek ESPIPE", SEEK, ESPIPE, false},
    {"fstatfs EIO", STAT_SYSTEM, EIO, false},
    {"prctl EINVAL", CONTROL, EINVAL, false},
    {"sysconf", COUNT_PAGES, EINVAL, false},
    {"getrlimit EINVAL", GET_LIMIT, EINVAL, false},
    {"pthread_key_create EAGAIN", CREATE_KEY, EAGAIN, false},
    {"pthread_setspecific ENOMEM", SET_KEY, ENOMEM, false},
    {"pthread_atfork ENOMEM", HANDLE_FORK, ENOMEM, false},
};

#ifdef FAULTS_JEMALLOC
void *__real_je_malloc(size_t size);
void __real_je_free(void *block);
#endif

static _Thread_local struct {
    const struct fault *fault; /* NULL: none */
    unsigned before;           /* calls that still go well */
    unsigned left;             /* that fail then */
    unsigned struck;
    int spared; /* calls that go well all the same */
} armed;

static atomic_long blocks;

int faults_count(void)
{
    return sizeof(faults) / sizeof(faults[0]);
}

const char *faults_name(int fault)
{
    return faults[fault].name;
}

int faults_is_of_allocator(int fault)
{
    return (faults[fault].calls & ~OF_ALLOCATOR) == 0;
}

int faults_is_harmless(int fault)
{
    return faults[fault].harmless;
}

int faults_is_lasting(int fault)
{
    return faults[fault].error == END;
}

int faults_errno(int fault)
{
    return faults[fault].error > 0 ? faults[fault].error : 0;
}

long faults_blocks(void)
{
    return blocks;
}

void faults_arm(int fault, unsigned nth, int persistent)
{
    armed.before = nth - 1;
    armed.left = !persistent ? 1 : faults[fault].harmless ? A_WHILE : UINT_MAX;
    armed.struck = 0;
    armed.spared = 0;
    armed.fault = &faults[fault];
}

unsigned faults_disarm(void)
{
    armed.fault = NULL;
    return armed.struck;
}

void faults_prepare_thread(int fault)
{
#ifdef FAULTS_JEMALLOC
    if ((faults[fault].calls & MAP) != 0) {
        __real_je_free(__real_je_malloc(1));
    }
#else
    (void) fault;
#endif
}

/* For what happens before main: the fault's number, which call, and whether it persists. */
__attribute__((constructor(101))) static void arm_at_start(void)
{
    const char *text = getenv("ZMALLOC_FAULT");
    int fault;
    unsigned nth;
    int persistent;
    if (text != NULL && sscanf(text, "%d %u %d", &fault, &nth, &persistent) == 3) {
        faults_arm(fault, nth, persistent);
#ifdef FAULTS_JEMALLOC
        /* Before main these are its own, and it does not survive them: it writes to the page that it did not get. */
        armed.spared = MAP;
#endif
    }
}

/* The error of this call, or 0 if it is to go well. */
static int strike(int call, int usual)
{
    const struct fault *fault = armed.fault;
    if (fault == NULL || (fault->calls & call & ~armed.spared) == 0 || armed.left == 0) {
        return 0;
    }
    if (armed.before > 0) {
        armed.before--;
        return 0;
    }
    armed.left--;
    armed.struck++;
    return fault->error != 0 ? fault->error : usual;
}

/* For calls that tell by errno. */
static bool fails(int call, int usual)
{
    int error = strike(call, usual);
    if (error > 0) {
        errno = error;
    }
    return error != 0;
}

static void *handed_out(void *block)
{
    blocks += block != NULL;
    return block;
}

static void *handed_out_again(void *old, void *block)
{
    blocks += old == NULL && block != NULL;
    return block;
}

static void handed_in(void *block)
{
    blocks -= block != NULL;
}

/* An allocator's calls, by their arguments. */

#define WRAP_ALLOCATE(call, kind, parameters, arguments)                                                             \
    void *__real_##call parameters;                                                                                  \
    void *__wrap_##call parameters;                                                                                  \
    void *__wrap_##call parameters                                                                                   \
    {                                                                                                                \
        return fails(kind, ENOMEM) ? NULL : handed_out(__real_##call arguments);                                     \
    }

#define WRAP_REALLOCATE(call, kind)                                                                                  \
    void *__real_##call(void *block, size_t size);                                                                   \
    void *__wrap_##call(void *block, size_t size);                                                                   \
    void *__wrap_##call(void *block, size_t size)                                                                    \
    {                                                                                                                \
        return fails(kind, ENOMEM) ? NULL : handed_out_again(block, __real_##call(block, size));                     \
    }

#define WRAP_FREE(call, parameters, arguments)                                                                       \
    void __real_##call parameters;                                                                                   \
    void __wrap_##call parameters;                                                                                   \
    void __wrap_##call parameters                                                                                    \
    {                                                                                                                \
        handed_in(block);                                                                                            \
        __real_##call arguments;                                                                                     \
    }

#ifdef FAULTS_LIBC
WRAP_ALLOCATE(malloc, ALLOCATE, (size_t size), (size))
WRAP_ALLOCATE(calloc, ALLOCATE_ZEROED, (size_t number, size_t size), (number, size))
WRAP_REALLOCATE(realloc, REALLOCATE)
WRAP_FREE(free, (void *block), (block))

int __real_posix_memalign(void **block, size_t alignment, size_t size);
int __wrap_posix_memalign(void **block, size_t alignment, size_t size);
int __wrap_posix_memalign(void **block, size_t alignment, size_t size)
{
    int error = strike(ALLOCATE_ALIGNED, ENOMEM);
    error = error != 0 ? error : __real_posix_memalign(block, alignment, size);
    blocks += error == 0;
    return error;
}
#endif

#ifdef FAULTS_JEMALLOC
typedef void *allocate(size_t size);
static _Thread_local bool next_fails;

allocate __real_je_malloc_default;
allocate __wrap_je_malloc_default;

/* Whoever calls it for a block that je_malloc_or is to hand out hands it out: it is counted there. */
void *__wrap_je_malloc_default(size_t size)
{
    bool fails = next_fails;
    next_fails = false;
    return fails ? NULL : __real_je_malloc_default(size);
}

/* These don't fail themselves: it is for the next one to find that there is no block. */
static void *without_block(size_t size, allocate *next)
{
    next_fails = true;
    void *block = next(size);
    next_fails = false;
    return block;
}

#define WRAP_ALLOCATE_OR(call, parameters, arguments)                                                                \
    void *__real_##call parameters;                                                                                  \
    void *__wrap_##call parameters;                                                                                  \
    void *__wrap_##call parameters                                                                                   \
    {                                                                                                                \
        return fails(ALLOCATE, ENOMEM) ? without_block(size, next) : handed_out(__real_##call arguments);            \
    }

WRAP_ALLOCATE_OR(je_malloc_or, (size_t size, AFTER_FIRST allocate *next), (size, ANY next))
WRAP_ALLOCATE_OR(je_malloc_tsd_or, (size_t size, AFTER_FIRST void *tsd, allocate *next), (size, ANY tsd, next))
WRAP_ALLOCATE(je_malloc, ALLOCATE, (size_t size), (size))
WRAP_ALLOCATE(je_calloc, ALLOCATE_ZEROED, (size_t number, size_t size), (number, size))
WRAP_ALLOCATE(je_mallocx, ALLOCATE_ALIGNED, (size_t size, int flags), (size, flags))
WRAP_REALLOCATE(je_realloc, REALLOCATE)
WRAP_FREE(je_free, (void *block), (block))
WRAP_FREE(je_free_tsd, (void *block, AFTER_FIRST void *tsd), (block, ANY tsd))
WRAP_FREE(je_dallocx, (void *block, int flags), (block, flags))
WRAP_FREE(je_sdallocx, (void *block, size_t size, int flags), (block, size, flags))

int __real_je_mallctl(const char *name, void *old, size_t *old_length, void *new, size_t new_length);
int __wrap_je_mallctl(const char *name, void *old, size_t *old_length, void *new, size_t new_length);
int __wrap_je_mallctl(const char *name, void *old, size_t *old_length, void *new, size_t new_length)
{
    int error = strike(ASK, EAGAIN);
    return error != 0 ? error : __real_je_mallctl(name, old, old_length, new, new_length);
}

int __real_je_mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_length, void *new, size_t size);
int __wrap_je_mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_length, void *new, size_t size);
int __wrap_je_mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_length, void *new, size_t size)
{
    int error = strike(ASK_BY_NUMBER, EAGAIN);
    return error != 0 ? error : __real_je_mallctlbymib(mib, length, old, old_length, new, size);
}

int __real_je_mallctlnametomib(const char *name, size_t *mib, size_t *length);
int __wrap_je_mallctlnametomib(const char *name, size_t *mib, size_t *length);
int __wrap_je_mallctlnametomib(const char *name, size_t *mib, size_t *length)
{
    int error = strike(ASK_FOR_NUMBER, EAGAIN);
    return error != 0 ? error : __real_je_mallctlnametomib(name, mib, length);
}
#endif

#ifdef FAULTS_TCMALLOC
WRAP_ALLOCATE(tc_malloc, ALLOCATE, (size_t size), (size))
WRAP_ALLOCATE(tc_calloc, ALLOCATE_ZEROED, (size_t number, size_t size), (number, size))
WRAP_ALLOCATE(tc_memalign, ALLOCATE_ALIGNED, (size_t alignment, size_t size), (alignment, size))
WRAP_REALLOCATE(tc_realloc, REALLOCATE)
WRAP_FREE(tc_free, (void *block), (block))
WRAP_FREE(tc_free_sized, (void *block, size_t size), (block, size))

int __real_MallocExtension_GetNumericProperty(const char *property, size_t *value);
int __wrap_MallocExtension_GetNumericProperty(const char *property, size_t *value);
int __wrap_MallocExtension_GetNumericProperty(const char *property, size_t *value)
{
    return fails(ASK, ENOENT) ? 0 : __real_MallocExtension_GetNumericProperty(property, value);
}
#endif

#ifdef FAULTS_MIMALLOC
WRAP_ALLOCATE(mi_malloc, ALLOCATE, (size_t size), (size))
WRAP_ALLOCATE(mi_zalloc, ALLOCATE_ZEROED, (size_t size), (size))
WRAP_ALLOCATE(mi_malloc_aligned_at, ALLOCATE_ALIGNED, (size_t size, size_t alignment, size_t offset),
              (size, alignment, offset))
WRAP_REALLOCATE(mi_realloc, REALLOCATE)
WRAP_FREE(mi_free, (void *block), (block))
#endif

/* The system's calls. Where files may be large glibc has each of some under two names. */

#define WRAP_INT(call, kind, usual, parameters, arguments)                                                           \
    int __real_##call parameters;                                                                                    \
    int __wrap_##call parameters;                                                                                    \
    int __wrap_##call parameters                                                                                     \
    {                                                                                                                \
        return fails(kind, usual) ? -1 : __real_##call arguments;                                                    \
    }

#define WRAP_OPEN(call)                                                                                              \
    int __real_##call(int folder, const char *path, int flags, ...);                                                 \
    int __wrap_##call(int folder, const char *path, int flags, ...);                                                 \
    int __wrap_##call(int folder, const char *path, int flags, ...)                                                  \
    {                                                                                                                \
        return fails(OPEN, EMFILE) ? -1 : __real_##call(folder, path, flags, 0);                                     \
    }

#define WRAP_SEEK(call, offset_type)                                                                                 \
    offset_type __real_##call(int fd, offset_type offset, int whence);                                               \
    offset_type __wrap_##call(int fd, offset_type offset, int whence);                                               \
    offset_type __wrap_##call(int fd, offset_type offset, int whence)                                                \
    {                                                                                                                \
        return fails(SEEK, ESPIPE) ? -1 : __real_##call(fd, offset, whence);                                         \
    }

#define WRAP_MAP(call, offset_type)                                                                                  \
    void *__real_##call(void *at, size_t size, int allowed, int flags, int fd, offset_type offset);                  \
    void *__wrap_##call(void *at, size_t size, int allowed, int flags, int fd, offset_type offset);                  \
    void *__wrap_##call(void *at, size_t size, int allowed, int flags, int fd, offset_type offset)                   \
    {                                                                                                                \
        return fails(MAP, ENOMEM) ? MAP_FAILED : __real_##call(at, size, allowed, flags, fd, offset);                \
    }

WRAP_OPEN(openat)
WRAP_SEEK(lseek, long)
WRAP_MAP(mmap, long)
WRAP_INT(fstatfs, STAT_SYSTEM, EIO, (int fd, void *about), (fd, about))
WRAP_INT(getrlimit, GET_LIMIT, EINVAL, (int resource, void *limit), (resource, limit))
#ifdef __GLIBC__
WRAP_OPEN(openat64)
WRAP_SEEK(lseek64, int64_t)
WRAP_MAP(mmap64, int64_t)
WRAP_INT(fstatfs64, STAT_SYSTEM, EIO, (int fd, void *about), (fd, about))
WRAP_INT(getrlimit64, GET_LIMIT, EINVAL, (int resource, void *limit), (resource, limit))
#endif
WRAP_INT(access, LOOK, ENOENT, (const char *path, int mode), (path, mode))
WRAP_INT(faccessat, LOOK, ENOENT, (int folder, const char *path, int mode, int flags), (folder, path, mode, flags))
WRAP_INT(madvise, ADVISE, ENOMEM, (void *at, size_t size, int advice), (at, size, advice))

ssize_t __real_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
    int error = strike(READ, EIO);
    if (error > 0) {
        errno = error;
        return -1;
    }
    return error == END ? 0 : __real_read(fd, buffer, error == SHORT && size > 1 ? 1 : size);
}

int __real_prctl(int option, ...);
int __wrap_prctl(int option, ...);
int __wrap_prctl(int option, ...)
{
    unsigned long arguments[4];
    va_list rest;
    va_start(rest, option);
    for (int i = 0; i < 4; i++) {
        arguments[i] = va_arg(rest, unsigned long); /* as the C library itself takes them, however many there are */
    }
    va_end(rest);
    return fails(CONTROL, EINVAL) ? -1 : __real_prctl(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}

/* The size of a page is in the process's memory from its start: to ask for it can't fail. */
long __real_sysconf(int name);
long __wrap_sysconf(int name);
long __wrap_sysconf(int name)
{
    return name == _SC_PHYS_PAGES && fails(COUNT_PAGES, EINVAL) ? -1 : __real_sysconf(name);
}

/*
 * These return the error. The first key is the allocator's, if it has one: jemalloc does not survive a thread that
 * ends without its notice, as it looks for what that thread had cached.
 */
static unsigned first_key;
static bool has_first_key;

int __real_pthread_key_create(unsigned *key, void (*end)(void *));
int __wrap_pthread_key_create(unsigned *key, void (*end)(void *));
int __wrap_pthread_key_create(unsigned *key, void (*end)(void *))
{
    int error = strike(CREATE_KEY, EAGAIN);
    error = error != 0 ? error : __real_pthread_key_create(key, end);
    if (error == 0 && !has_first_key) {
        first_key = *key;
        has_first_key = true;
    }
    return error;
}

static bool is_allocators(unsigned key)
{
#ifdef FAULTS_JEMALLOC
    return has_first_key && key == first_key;
#else
    (void) key;
    return false;
#endif
}

int __real_pthread_setspecific(unsigned key, const void *value);
int __wrap_pthread_setspecific(unsigned key, const void *value);
int __wrap_pthread_setspecific(unsigned key, const void *value)
{
    int error = is_allocators(key) ? 0 : strike(SET_KEY, ENOMEM);
    return error != 0 ? error : __real_pthread_setspecific(key, value);
}

/*
 * jemalloc's own, which is the first there, does not survive it either: it takes itself for not yet set up, and all
 * threads but the first wait for that.
 */
int __real_pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void));
int __wrap_pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void));
int __wrap_pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void))
{
#ifdef FAULTS_JEMALLOC
    static bool jemalloc_has = false;
#else
    static bool jemalloc_has = true;
#endif
    int error = jemalloc_has ? strike(HANDLE_FORK, ENOMEM) : 0;
    jemalloc_has = true;
    return error != 0 ? error : __real_pthread_atfork(before, parent, child);
}
