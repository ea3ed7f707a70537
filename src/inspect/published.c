/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading the page that a process publishes: whatever it holds, only figures that can be are passed on. */
#include "inspect/sized.h"
#include "os/os.h"
#include "sync/backoff.h"
#include "zmalloc.h"
#include "zmalloc_page.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* In this version. */
enum { SIZE = ZM_END_OF(struct zmalloc_published, soft_limit), LONGEST_PAGE = 4096 };

/* More than any address has bits for. */
static const uint64_t most_bytes = (uint64_t) 1 << 57;

static uint64_t now_ns(void)
{
    return zm_os_microseconds() * 1000;
}

/* What never changes in a page says whether it is one. */
static int check_head(const struct zm_os_found_page *found, const struct zmalloc_page *page)
{
    if (memcmp(page->magic, ZMALLOC_PAGE_MAGIC, sizeof(page->magic)) != 0) {
        return -EBADMSG;
    }
    if (page->version != ZMALLOC_PAGE_VERSION) {
        return -EPROTONOSUPPORT;
    }
    if (page->size != found->bytes || page->allocator[sizeof(page->allocator) - 1] != '\0') {
        return -EBADMSG;
    }
    return page->pid == found->number && page->start == found->start ? 0 : -EPERM;
}

static bool is_text(const char *text)
{
    while (*text > ' ' && *text <= '~') {
        text++;
    }
    return *text == '\0';
}

/* A process of 32 bits has totals that wrap: only what is in use at once is known to be no more than its addresses.
 */
static int check_figures(const struct zmalloc_page *page)
{
    const uint64_t levels[] = {page->allocated, page->active, page->resident,
                               page->rss,       page->mapped, page->retained,
                               page->metadata,  page->muzzy,  page->allocator_frag_smallbins_bytes};
    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
        if (levels[i] >= most_bytes && levels[i] != ZMALLOC_PAGE_UNKNOWN) {
            return -EBADMSG;
        }
    }
    enum { CLOCKS_DIFFER_NS = 1000000000 };
    uint64_t latest = now_ns() + CLOCKS_DIFFER_NS;
    bool can_be = page->used < most_bytes && page->peak < most_bytes && page->used <= page->peak &&
                  page->total_allocated <= INT64_MAX && page->total_freed <= INT64_MAX &&
                  page->refreshed_ns <= latest && page->since_ns <= page->refreshed_ns &&
                  page->wall_ns <= INT64_MAX && page->interval_ms <= INT64_MAX / 1000000 && is_text(page->allocator);
    return can_be ? 0 : -EBADMSG;
}

/* -EAGAIN: it is being written. */
static int read_page(const struct zm_os_found_page *found, struct zmalloc_page *page)
{
    enum { SEQUENCE = offsetof(struct zmalloc_page, sequence) };
    if (found->bytes < sizeof(*page) || found->bytes > LONGEST_PAGE || !found->keeps_size) {
        return -EBADMSG;
    }
    if (!found->is_of_user) {
        return -EPERM;
    }
    uint32_t before;
    uint32_t behind;
    int error = zm_os_page_read(found, SEQUENCE, &before, sizeof(before));
    error = error == 0 ? zm_os_page_read(found, 0, page, sizeof(*page)) : error;
    error = error == 0 ? zm_os_page_read(found, SEQUENCE, &behind, sizeof(behind)) : error;
    error = error == 0 ? check_head(found, page) : error;
    if (error == 0 && (before % 2 != 0 || before != page->sequence || before != behind)) {
        error = -EAGAIN;
    }
    return error == 0 ? check_figures(page) : error;
}

struct reading {
    struct zmalloc_page best; /* the page that was made first */
    int place;                /* where it is */
    int error;                /* of that page; if there is none, of the last one */
    bool any;
    bool may_change; /* a page is being written, or made */
};

static int visit(const struct zm_os_found_page *found, void *context)
{
    struct reading *reading = context;
    struct zmalloc_page page;
    int error = read_page(found, &page);
    reading->may_change = reading->may_change || error == -EAGAIN || !found->keeps_size;
    bool is_first = error == 0 && (reading->error != 0 || page.since_ns < reading->best.since_ns);
    if (is_first) {
        reading->best = page;
        reading->place = found->place;
    }
    if (is_first || !reading->any || reading->error != 0) {
        reading->error = error;
    }
    reading->any = true;
    return 0;
}

static int read_at(long pid, int place, struct reading *reading)
{
    *reading = (struct reading){.error = -ENOENT};
    int error = zm_os_find_pages(pid, ZMALLOC_PAGE_NAME, place, visit, reading);
    if (reading->error != -ENOENT) {
        return reading->error;
    }
    return error != 0 ? error : -ENOENT;
}

/*
 * Where the page of a process was found: to look at all of many descriptors takes long. It is no more than a guess,
 * as what is found there is checked like any page; so nothing tells the parts of one guess from those of another.
 * From time to time all are looked at even so, as a page that was made before may have been lost and made again.
 */
struct guess {
    _Atomic long pid;
    _Atomic int place;
    _Atomic size_t since_ms; /* wraps */
};

enum { GUESSES = 64, LASTS_MS = 10000, EVERYWHERE = -1 };
static struct guess guesses[GUESSES];

static struct guess *guess_of(long pid)
{
    return &guesses[(size_t) pid % GUESSES];
}

static size_t now_ms(void)
{
    return (size_t) (zm_os_microseconds() / 1000);
}

static int guessed_place(long pid)
{
    struct guess *guess = guess_of(pid);
    bool is_good = atomic_load(&guess->pid) == pid && now_ms() - atomic_load(&guess->since_ms) < LASTS_MS;
    return is_good ? atomic_load(&guess->place) : EVERYWHERE;
}

static void keep_guess(long pid, int place)
{
    struct guess *guess = guess_of(pid);
    atomic_store(&guess->since_ms, now_ms());
    atomic_store(&guess->place, place);
    atomic_store(&guess->pid, pid);
}

static int read_once(long pid, struct reading *reading)
{
    int place = guessed_place(pid);
    if (place != EVERYWHERE && read_at(pid, place, reading) == 0) {
        return 0;
    }
    int error = read_at(pid, EVERYWHERE, reading);
    if (error == 0) {
        keep_guess(pid, reading->place);
    }
    return error;
}

/* A page that is written, or made, is whole soon after. */
static int read_best(long pid, struct reading *reading)
{
    enum { MOST_US = 100000 };
    uint64_t end = zm_os_microseconds() + MOST_US;
    unsigned pauses = 0;
    int error;
    while ((error = read_once(pid, reading)) != 0 && reading->may_change && zm_os_microseconds() < end) {
        zm_backoff(&pauses);
    }
    return error;
}

static int narrow(uint64_t bytes, size_t *to)
{
    if (bytes == ZMALLOC_PAGE_UNKNOWN) {
        *to = ZMALLOC_UNKNOWN;
        return 0;
    }
    *to = bytes < ZMALLOC_NO_LIMIT ? (size_t) bytes : ZMALLOC_UNKNOWN;
    return bytes < ZMALLOC_NO_LIMIT ? 0 : -EOVERFLOW;
}

static const struct zmalloc_published unknown = {
    .used = ZMALLOC_UNKNOWN,
    .allocated = ZMALLOC_UNKNOWN,
    .active = ZMALLOC_UNKNOWN,
    .resident = ZMALLOC_UNKNOWN,
    .rss = ZMALLOC_UNKNOWN,
    .mapped = ZMALLOC_UNKNOWN,
    .retained = ZMALLOC_UNKNOWN,
    .metadata = ZMALLOC_UNKNOWN,
    .muzzy = ZMALLOC_UNKNOWN,
    .allocator_frag_smallbins_bytes = ZMALLOC_UNKNOWN,
    .peak = ZMALLOC_UNKNOWN,
    .total_allocated = ZMALLOC_UNKNOWN,
    .total_freed = ZMALLOC_UNKNOWN,
    .limit = ZMALLOC_UNKNOWN,
    .soft_limit = ZMALLOC_UNKNOWN,
};

static size_t limit(uint64_t bytes)
{
    return bytes != 0 && bytes < ZMALLOC_NO_LIMIT ? (size_t) bytes : ZMALLOC_NO_LIMIT;
}

static int fill_figures(const struct zmalloc_page *page, struct zmalloc_published *published)
{
    const struct {
        uint64_t from;
        size_t *to;
    } figures[] = {
        {page->used, &published->used},
        {page->allocated, &published->allocated},
        {page->active, &published->active},
        {page->resident, &published->resident},
        {page->rss, &published->rss},
        {page->mapped, &published->mapped},
        {page->retained, &published->retained},
        {page->metadata, &published->metadata},
        {page->muzzy, &published->muzzy},
        {page->allocator_frag_smallbins_bytes, &published->allocator_frag_smallbins_bytes},
        {page->peak, &published->peak},
        {page->total_allocated, &published->total_allocated},
        {page->total_freed, &published->total_freed},
    };
    for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++) {
        int error = narrow(figures[i].from, figures[i].to);
        if (error != 0) {
            return error;
        }
    }
    published->limit = limit(page->limit);
    published->soft_limit = limit(page->soft_limit);
    memcpy(published->allocator, page->allocator, sizeof(published->allocator));
    return 0;
}

/* Its figures, if they are as fresh as the process has promised. */
static int tell(const struct zmalloc_page *page, struct zmalloc_published *published)
{
    enum { INTERVALS = 3, MORE_MS = 10000 };
    uint64_t now = now_ns();
    published->wall_ns = page->wall_ns;
    published->age_us = now > page->refreshed_ns ? (now - page->refreshed_ns) / 1000 : 0;
    published->interval_ms = page->interval_ms;
    if (page->interval_ms > 0 && published->age_us / 1000 > INTERVALS * page->interval_ms + MORE_MS) {
        return -ESTALE;
    }
    int error = fill_figures(page, published);
    if (error != 0) {
        *published = unknown;
    }
    return error;
}

/* A process that has no memory has no files either. */
static int explain_missing(long pid)
{
    uint64_t rss;
    return zm_os_rss(pid, &rss) == -ESRCH ? -ESRCH : -ENOENT;
}

int zmalloc_published(long pid, struct zmalloc_published *published)
{
    if (published == NULL || published->size < SIZE) {
        return -EINVAL;
    }
    struct zmalloc_published whole = unknown;
    struct reading reading;
    int error = pid == -1 || pid > 0 ? read_best(pid, &reading) : -EINVAL;
    if (error == 0) {
        error = tell(&reading.best, &whole);
    } else if (error == -ENOENT) {
        error = explain_missing(pid);
    }
    zm_sized_copy(published, &whole, SIZE);
    return error;
}
