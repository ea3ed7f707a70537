/* SPDX-License-Identifier: BSD-3-Clause */
/* Publishing: this process's figures in a page that others can read, and a thread that keeps them fresh. */
#include "inspect/publish.h"

#include "os/os.h"
#include "sync/child.h"
#include "zmalloc_page.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/*
 * The number of the process that publishes, or 0. A child that is not settled yet has its parent's number here, and
 * its parent's page: it must not write there, and doesn't, as it has another number.
 */
static _Atomic long publisher;

/* Under the page's lock. */
static struct zm_os_page page;
static uint64_t since_ns;
static uint64_t start_of_process;
static uint64_t promised_ms;

/* Under the lock of those who start and end; there is a thread if the publisher is this process. */
static pthread_t thread;
static bool has_thread;
static _Atomic size_t interval;
static _Atomic uint32_t ends; /* 1: the thread has to */

static bool publishes(void)
{
    long number = atomic_load(&publisher);
    return number != 0 && number == zm_os_own_number();
}

static uint64_t monotonic_ns(void)
{
    return zm_os_microseconds() * 1000;
}

static uint64_t wall_ns(void)
{
    struct timespec now = {0};
    timespec_get(&now, TIME_UTC);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static uint64_t figure(size_t bytes)
{
    return bytes != ZMALLOC_UNKNOWN ? bytes : ZMALLOC_PAGE_UNKNOWN;
}

/* A reset in between is no reason for a peak below what is used. */
static size_t peak(size_t used)
{
    size_t most = zmalloc_peak_memory();
    return most > used ? most : used;
}

/* All but the sequence. */
static void fill(struct zmalloc_page *to, const struct zmalloc_report *report)
{
    *to = (struct zmalloc_page){
        .magic = ZMALLOC_PAGE_MAGIC,
        .version = ZMALLOC_PAGE_VERSION,
        .size = sizeof(*to),
        .pid = (uint64_t) zm_os_own_number(),
        .start = start_of_process,
        .since_ns = since_ns,
        .interval_ms = promised_ms,
        .refreshed_ns = monotonic_ns(),
        .wall_ns = wall_ns(),
        .used = figure(report->used),
        .allocated = figure(report->allocated),
        .active = figure(report->active),
        .resident = figure(report->resident),
        .rss = figure(report->rss),
        .mapped = figure(report->mapped),
        .retained = figure(report->retained),
        .metadata = figure(report->metadata),
        .muzzy = figure(report->muzzy),
        .allocator_frag_smallbins_bytes = figure(report->allocator_frag_smallbins_bytes),
        .peak = peak(report->used),
        .total_allocated = zmalloc_total_allocated(),
        .total_freed = zmalloc_total_freed(),
        .limit = zmalloc_limit(),
        .soft_limit = zmalloc_soft_limit(),
    };
    strncpy(to->allocator, zmalloc_allocator(), sizeof(to->allocator) - 1);
}

/* What changes, by words that are whole on every machine; the sequence is odd meanwhile. */
static void write_figures(struct zmalloc_page *to, const struct zmalloc_page *from)
{
    enum { FIRST = offsetof(struct zmalloc_page, refreshed_ns) / sizeof(uint32_t) };
    uint32_t *words = (uint32_t *) (void *) to;
    uint32_t values[sizeof(*from) / sizeof(uint32_t)];
    memcpy(values, from, sizeof(values));
    uint32_t writing = (to->sequence | 1) + (to->sequence & 1) * 2;
    __atomic_store_n(&to->sequence, writing, __ATOMIC_RELAXED);
    for (size_t i = FIRST; i < sizeof(values) / sizeof(*values); i++) {
        __atomic_store_n(&words[i], values[i], __ATOMIC_RELEASE);
    }
    __atomic_store_n(&to->sequence, writing + 1, __ATOMIC_RELEASE);
}

/* The new page is there before the old one goes. */
static int make_page(const struct zmalloc_page *content)
{
    struct zm_os_page made;
    int error = zm_os_page_make(ZMALLOC_PAGE_NAME, content, sizeof(*content), &made);
    if (error != 0) {
        return error;
    }
    struct zm_os_page old = page;
    page = made;
    zm_os_page_drop(&old);
    return 0;
}

static void refresh(const struct zmalloc_report *report)
{
    struct zmalloc_page content;
    fill(&content, report);
    if (zm_os_page_can_be_found(&page) || make_page(&content) != 0) {
        write_figures(page.memory, &content); /* without a descriptor left, there is one the next time */
    }
}

void zm_publish_refresh(const struct zmalloc_report *report)
{
    if (atomic_load_explicit(&publisher, memory_order_relaxed) == 0) {
        return;
    }
    zm_child_check();
    uintptr_t token;
    do {
        token = zm_lock_take(ZM_LOCK_PAGE);
        if (publishes()) {
            refresh(report);
        }
    } while (!zm_lock_release(ZM_LOCK_PAGE, token));
}

static void read_report(void)
{
    struct zmalloc_report report = {.size = sizeof(report)};
    zmalloc_report(&report, 0);
}

static void *refresh_regularly(void *unused)
{
    (void) unused;
    while (zm_os_wait(&ends, 0, atomic_load(&interval)) == 0 && atomic_load(&ends) == 0) {
        read_report();
    }
    return NULL;
}

/* The program's signals are for the program's threads. */
static int start_thread(void)
{
    enum { STACK = 256 << 10 };
    sigset_t all;
    sigset_t before;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0) {
        return -error;
    }
    pthread_attr_setstacksize(&attributes, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&ends, 0);
    error = pthread_create(&thread, &attributes, refresh_regularly, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    has_thread = error == 0;
    return -error;
}

static void end_thread(void)
{
    if (has_thread) {
        has_thread = false;
        atomic_store(&ends, 1);
        zm_os_wake(&ends);
        pthread_join(thread, NULL);
    }
}

static void drop_page(void)
{
    uintptr_t token;
    do {
        token = zm_lock_take(ZM_LOCK_PAGE);
        atomic_store(&publisher, 0);
        zm_os_page_drop(&page);
    } while (!zm_lock_release(ZM_LOCK_PAGE, token));
}

static void end(void)
{
    end_thread();
    if (publishes()) {
        drop_page();
    }
}

/* A child has its parent's page open, and no thread. */
static void forget_in_child(struct zm_child_stage stage)
{
    if (stage.first) {
        atomic_store(&publisher, 0);
        has_thread = false;
        zm_os_page_drop(&page);
    }
}

/* There are figures in the page from the beginning. */
static int make_first_page(uint64_t interval_ms)
{
    struct zmalloc_report report = {.size = sizeof(report)};
    zmalloc_report(&report, 0);
    long long start = 0;
    int error = zm_os_proc_stat(22, &start);
    uintptr_t token;
    do {
        token = zm_lock_take(ZM_LOCK_PAGE);
        start_of_process = (uint64_t) start;
        promised_ms = interval_ms;
        since_ns = publishes() ? since_ns : monotonic_ns();
        struct zmalloc_page content;
        fill(&content, &report);
        error = error == 0 ? make_page(&content) : error;
        if (error == 0) {
            atomic_store(&publisher, zm_os_own_number());
        }
    } while (!zm_lock_release(ZM_LOCK_PAGE, token));
    return error;
}

static int begin(size_t interval_ms)
{
    end_thread();
    zm_child_set_hook(ZM_CHILD_PUBLISH, forget_in_child);
    int error = make_first_page(interval_ms);
    if (error == 0 && interval_ms > 0) {
        atomic_store(&interval, interval_ms);
        error = start_thread();
    }
    if (error != 0) {
        end();
    }
    return error;
}

int zmalloc_publish(int enable, size_t interval_ms)
{
    enum { MOST_MS = INT32_MAX };
    if ((enable != 0 && enable != 1) || interval_ms > MOST_MS) {
        return -EINVAL;
    }
    zm_child_check();
    uintptr_t token = zm_lock_take(ZM_LOCK_PUBLISH);
    int error = 0;
    if (enable) {
        error = begin(interval_ms);
    } else {
        end();
    }
    zm_lock_release(ZM_LOCK_PUBLISH, token);
    return error;
}
