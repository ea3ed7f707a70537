/* SPDX-License-Identifier: BSD-3-Clause */
/* Under `zmalloc run`: writes this process's figures to a file in the folder that the command has made, by a thread
 * and at its end. With or without it, publishes them where that is wished. */
#include "preload/run.h"

#include "os/os.h"
#include "preload/preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct zm_run_page *page;
static uint64_t milliseconds;
static size_t publishing_ms;
static atomic_flag writing = ATOMIC_FLAG_INIT;
static _Atomic uint64_t failed;
static _Atomic uint64_t soft_passed;

static void store(_Atomic uint64_t *place, uint64_t figure)
{
    atomic_store_explicit(place, figure, memory_order_relaxed);
}

/* For what only grows: who has read it earlier may come to write it later. */
static void raise_to(_Atomic uint64_t *place, uint64_t figure)
{
    uint64_t before = atomic_load_explicit(place, memory_order_relaxed);
    while (before < figure && !atomic_compare_exchange_weak(place, &before, figure)) {
    }
}

/* At once: it may be the last thing that the program does. So much was in use, whatever the readings saw. */
void zm_run_failed(size_t size)
{
    uint64_t before = atomic_fetch_add_explicit(&failed, 1, memory_order_relaxed);
    if (page != NULL) {
        raise_to(&page->failed, before + 1);
        store(&page->failed_size, size);
        raise_to(&page->peak_used, zmalloc_peak_memory());
    }
}

static uint64_t read_ns(clockid_t clock)
{
    enum { NS = 1000000000 };
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t) now.tv_sec * NS + (uint64_t) now.tv_nsec;
}

static uint64_t now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

static uint64_t number_of(const char *name)
{
    enum { DECIMAL = 10 };
    const char *text = secure_getenv(name);
    return text != NULL ? strtoull(text, NULL, DECIMAL) : 0;
}

/* What a signal handler may ask for, too. */
struct counted {
    size_t used;
    size_t peak_used;
    size_t allocated;
    size_t freed;
    struct rusage usage;
};

static struct counted count(void)
{
    struct counted counted = {.allocated = zmalloc_total_allocated(), .freed = zmalloc_total_freed()};
    counted.used = zmalloc_used_memory();
    counted.peak_used = zmalloc_peak_memory();
    getrusage(RUSAGE_SELF, &counted.usage);
    return counted;
}

static uint64_t microseconds(struct timeval time)
{
    enum { A_SECOND = 1000000 };
    return (uint64_t) time.tv_sec * A_SECOND + (uint64_t) time.tv_usec;
}

static void store_counted(const struct counted *counted)
{
    store(&page->updated_ns, now_ns());
    store(&page->used, counted->used);
    raise_to(&page->peak_used, counted->peak_used);
    store(&page->total_allocated, counted->allocated);
    store(&page->total_freed, counted->freed);
    store(&page->user_us, microseconds(counted->usage.ru_utime));
    store(&page->system_us, microseconds(counted->usage.ru_stime));
    store(&page->minor_faults, (uint64_t) counted->usage.ru_minflt);
    store(&page->major_faults, (uint64_t) counted->usage.ru_majflt);
    store(&page->soft_passed, atomic_load(&soft_passed));
}

/* So that nobody sees a part of them, who reads the page meanwhile. */
static void refresh(void)
{
    size_t allocated;
    size_t active;
    size_t resident;
    struct counted counted = count();
    zmalloc_allocator_info(&allocated, &active, &resident);
    uint64_t sequence = atomic_load_explicit(&page->sequence, memory_order_relaxed);
    store(&page->sequence, sequence + 1);
    atomic_thread_fence(memory_order_release);
    store(&page->allocated, allocated);
    store(&page->active, active);
    store(&page->resident, resident);
    store_counted(&counted);
    atomic_store_explicit(&page->sequence, sequence + 2, memory_order_release);
}

static uint64_t bytes_of(const char *text, const char *name)
{
    enum { DECIMAL = 10, KIB = 1024 };
    const char *line = strstr(text, name);
    return line != NULL ? strtoull(line + strlen(name), NULL, DECIMAL) * KIB : ZMALLOC_UNKNOWN;
}

/* At the end alone: to ask the kernel takes a descriptor, whose number the program may be about to take. Until then
 * whoever reads the page asks by itself. The most RSS of getrusage would be kept over exec. */
static void store_end(enum zm_run_end how)
{
    enum { ROOM = 4096 };
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        static char text[ROOM]; /* who comes at the same time writes much the same there */
        ssize_t length = read(file, text, sizeof(text) - 1);
        close(file);
        text[length > 0 ? length : 0] = '\0';
        store(&page->rss, bytes_of(text, "\nVmRSS:"));
        store(&page->peak_rss, bytes_of(text, "\nVmHWM:"));
    }
    store(&page->ended, how);
}

/* Who has ended stays so. In a child by vfork, or one whose fork handlers did not run, the page is the parent's, and
 * whoever was writing may not be there. */
static bool is_own(void)
{
    return page != NULL && page->pid == (uint64_t) getpid() && atomic_load(&page->ended) == ZM_RUN_NO_END;
}

static void refresh_once(bool ends)
{
    if (!is_own()) {
        return;
    }
    while (atomic_flag_test_and_set(&writing)) {
        sched_yield();
    }
    if (is_own()) {
        refresh();
    }
    if (is_own() && ends) {
        store_end(ZM_RUN_EXIT);
    }
    atomic_flag_clear(&writing);
}

/* The first library after the program, and after the kernel's own that has no file. */
static bool is_first_library(const void *base)
{
    const struct link_map *map = dlopen(NULL, RTLD_LAZY);
    do {
        map = map->l_next;
    } while (map != NULL && strchr(map->l_name, '/') == NULL);
    return map != NULL && map->l_addr == (uintptr_t) base;
}

/* A program that is not position-independent has a stand-in for a call whose address it takes. */
static bool is_ours(const void *call, const void *base)
{
    Dl_info found;
    const ElfW(Sym) *symbol = NULL;
    if (call == NULL || dladdr1(call, &found, (void **) &symbol, RTLD_DL_SYMENT) == 0) {
        return false;
    }
    bool stands_in = symbol != NULL && symbol->st_shndx == SHN_UNDEF;
    return found.dli_fbase == base || (stands_in && is_first_library(base));
}

/* Another library that is preloaded too, or the program, may answer some calls, or all. */
static uint64_t who_answers(void)
{
    static const char *const calls[] = {"malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign"};
    uint64_t elsewhere = 0;
    Dl_info self;
    if (dladdr((const void *) who_answers, &self) == 0) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        elsewhere |= is_ours(dlsym(RTLD_DEFAULT, calls[i]), self.dli_fbase) ? 0 : (uint64_t) 1 << i;
    }
    return elsewhere;
}

static uint64_t start_of_process(void)
{
    enum { STARTTIME = 22 };
    long long ticks = 0;
    zm_os_proc_stat(STARTTIME, &ticks);
    return (uint64_t) ticks;
}

/* A whole page is written first: to have no room must be an error here, and not a signal later. The file's descriptor
 * is not kept, as the program may use its number. */
static struct zm_run_page *make_page(const char *folder)
{
    enum { ROOM = 4096 };
    char bytes[ROOM] = {0};
    struct zm_run_page first = {.magic = ZM_RUN_MAGIC, .version = ZM_RUN_VERSION, .size = sizeof(first)};
    char path[PATH_MAX];
    first.pid = (uint64_t) getpid();
    first.parent = (uint64_t) getppid();
    first.born = start_of_process();
    first.rss = ZMALLOC_UNKNOWN;
    first.peak_rss = ZMALLOC_UNKNOWN;
    first.started_ns = now_ns();
    first.elsewhere = who_answers();
    snprintf(first.allocator, sizeof(first.allocator), "%s", zmalloc_allocator());
    snprintf(first.program, sizeof(first.program), "%s", program_invocation_short_name);
    snprintf(path, sizeof(path), "%s/%llu.%llu", folder, (unsigned long long) first.pid,
             (unsigned long long) first.started_ns);

    memcpy(bytes, &first, sizeof(first));

    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (file < 0) {
        return NULL;
    }
    void *memory = MAP_FAILED;
    if (write(file, bytes, sizeof(bytes)) == (ssize_t) sizeof(bytes)) {
        memory = mmap(NULL, sizeof(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    close(file);
    return memory != MAP_FAILED ? memory : NULL;
}

/* At first soon, so that a program that ends before long is seen too, as the command itself does. */
static uint64_t wished_pause(uint64_t since)
{
    enum { OFTEN = 20, A_MILLISECOND = 1000000, SOON = 5 * A_MILLISECOND };
    uint64_t pause = since / OFTEN > SOON ? since / OFTEN : SOON;
    uint64_t longest = milliseconds * A_MILLISECOND;
    return pause < longest ? pause : longest;
}

/* That takes a processor for a twentieth of the time at most: glibc walks through all free blocks, under its lock. */
static void *sample(void *unused)
{
    enum { OFTEN = 20, A_SECOND = 1000000000 };
    uint64_t started = now_ns();
    for (;;) {
        uint64_t began = read_ns(CLOCK_THREAD_CPUTIME_ID);
        refresh_once(false);
        uint64_t cost = read_ns(CLOCK_THREAD_CPUTIME_ID) - began;
        uint64_t wished = wished_pause(now_ns() - started);
        uint64_t wait = wished > OFTEN * cost ? wished : OFTEN * cost;
        struct timespec pause = {.tv_sec = (time_t) (wait / A_SECOND), .tv_nsec = (long) (wait % A_SECOND)};
        nanosleep(&pause, NULL);
    }
    return unused;
}

/* The program's signals are for the program's threads. */
static void start_thread(void)
{
    enum { STACK = 256 << 10 };
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attributes, sample, NULL) == 0) {
        pthread_setname_np(thread, "zmalloc-run");
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void begin(void)
{
    const char *folder = secure_getenv(ZM_RUN_FOLDER);
    page = folder != NULL ? make_page(folder) : NULL;
    if (page != NULL && milliseconds > 0) {
        start_thread();
    }
    if (publishing_ms > 0) {
        zmalloc_publish(1, publishing_ms);
    }
}

/* The page that it has is its parent's. */
static void begin_in_child(void)
{
    if (page != NULL) {
        munmap(page, sizeof(*page));
    }
    atomic_flag_clear(&writing);
    atomic_store(&failed, 0);
    atomic_store(&soft_passed, 0);
    begin();
}

static void count_passing(size_t used, void *context)
{
    (void) used;
    (void) context;
    atomic_fetch_add(&soft_passed, 1);
}

__attribute__((destructor)) static void end(void)
{
    refresh_once(true);
}

__attribute__((constructor)) static void start(void)
{
    int error = errno;
    bool runs = secure_getenv(ZM_RUN_FOLDER) != NULL;
    milliseconds = number_of(ZM_RUN_MILLISECONDS);
    publishing_ms = (size_t) number_of(ZM_PUBLISH_MILLISECONDS);
    if (runs || publishing_ms > 0) {
        begin();
        pthread_atfork(NULL, NULL, begin_in_child);
    }
    if (runs) {
        (void) at_quick_exit(end);
        zmalloc_set_soft_limit((size_t) number_of(ZM_RUN_SOFT_LIMIT), 0, count_passing, NULL);
        zmalloc_set_limit((size_t) number_of(ZM_RUN_LIMIT));
    }
    errno = error;
}

/* Who ends so runs no destructors, and may do it in a signal handler, while anything else is going on. What can't be
 * asked for there is as of the last reading. */
static void end_at_once(void)
{
    if (is_own()) {
        struct counted counted = count();
        store_counted(&counted);
        store_end(ZM_RUN_EXIT_AT_ONCE);
        uint64_t sequence = atomic_load(&page->sequence);
        store(&page->sequence, sequence + sequence % 2); /* a writer that it came in between may never go on */
    }
}

ZM_EXPORTED _Noreturn void _exit(int status)
{
    end_at_once();
    for (;;) {
        syscall(SYS_exit_group, status);
    }
}

ZM_EXPORTED _Noreturn void _Exit(int status)
{
    _exit(status);
}
