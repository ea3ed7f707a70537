/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Readers of a page that is written all the time, by several threads: in what they are told all figures are of one
 * refresh. The refreshes are made up, so that the figures of one can be told from those of another.
 */
#include "inspect/publish.h"
#include "zmalloc_page.h"

#include "../c/threads.h"
#if defined(__x86_64__)
#include "../c/single_steps.h"
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

enum { WRITERS = 2, READERS = 2, MOST = 1 << 20 };

static atomic_bool stop;
static atomic_uint written;
static atomic_uint whole;

/* Its figures all come from one number, which is different each time. */
static void write_some(size_t number)
{
    struct zmalloc_report report = {
        .used = number,
        .allocated = 2 * number,
        .active = 3 * number,
        .resident = 4 * number,
        .rss = 5 * number,
        .mapped = 6 * number,
        .retained = 7 * number,
        .metadata = 8 * number,
        .muzzy = 9 * number,
        .allocator_frag_smallbins_bytes = 10 * number,
    };
    zm_publish_refresh(&report);
}

static void check_of_one_refresh(const struct zmalloc_published *page)
{
    size_t number = page->used;
    check(number > 0 && number <= MOST && page->allocated == 2 * number && page->active == 3 * number &&
          page->resident == 4 * number && page->rss == 5 * number && page->mapped == 6 * number &&
          page->retained == 7 * number && page->metadata == 8 * number && page->muzzy == 9 * number &&
          page->allocator_frag_smallbins_bytes == 10 * number && page->peak >= number);
}

static void *write_all_the_time(void *argument)
{
    struct random random = seeded((uint64_t) (uintptr_t) argument);
    while (!atomic_load(&stop)) {
        write_some(1 + below(&random, MOST));
        atomic_fetch_add(&written, 1);
    }
    return NULL;
}

static void *read_all_the_time(void *argument)
{
    long pid = (long) (intptr_t) argument;
    while (!atomic_load(&stop)) {
        struct zmalloc_published page = {.size = sizeof(page)};
        int error = zmalloc_published(pid, &page);
        check(error == 0 || error == -EAGAIN);
        if (error == 0) {
            check_of_one_refresh(&page);
            atomic_fetch_add(&whole, 1);
        }
    }
    return NULL;
}

#if defined(__x86_64__)
/* The page as another program may have it mapped, which sees each word that is written. */
static const struct zmalloc_page *map_page(void)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    void *page = MAP_FAILED;
    while ((entry = readdir(folder)) != NULL) {
        char link[64] = "";
        if (readlinkat(dirfd(folder), entry->d_name, link, sizeof(link) - 1) > 0 &&
            strcmp(link, "/memfd:zmalloc (deleted)") == 0) {
            page = mmap(NULL, sizeof(struct zmalloc_page), PROT_READ, MAP_SHARED, atoi(entry->d_name), 0);
        }
    }
    closedir(folder);
    check(page != MAP_FAILED);
    return page;
}

static bool copy_page(const struct zmalloc_page *page, struct zmalloc_page *copy)
{
    uint32_t words[sizeof(*copy) / sizeof(uint32_t)];
    const uint32_t *from = (const uint32_t *) (const void *) page;
    uint32_t before = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        words[i] = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
    }
    memcpy(copy, words, sizeof(*copy));
    return before % 2 == 0 && __atomic_load_n(&page->sequence, __ATOMIC_RELAXED) == before;
}

/* Of the writer, one instruction at a time. */
static const struct zmalloc_page *mapped;
static unsigned amid;
static unsigned between;

static void look(int signal)
{
    (void) signal;
    struct zmalloc_page copy;
    if (copy_page(mapped, &copy)) {
        check(copy.allocated == 2 * copy.used && copy.resident == 4 * copy.used && copy.peak >= copy.used &&
              copy.allocator_frag_smallbins_bytes == 10 * copy.used);
        between++;
    } else {
        amid++;
    }
}

static void test_each_instruction(void)
{
    if (THREAD_SANITIZER || ADDRESS_SANITIZER || is_emulated()) {
        return;
    }
    check(zmalloc_publish(1, 0) == 0);
    write_some(1);
    mapped = map_page();
    signal(SIGTRAP, look);
    step(true);
    write_some(2);
    write_some(3);
    step(false);
    signal(SIGTRAP, SIG_DFL);
    check(amid > 50 && between > 50);
    munmap((void *) (uintptr_t) mapped, sizeof(*mapped));
    check(zmalloc_publish(0, 0) == 0);
}
#else
static void test_each_instruction(void)
{
}
#endif

static void run_readers(unsigned reads)
{
    pthread_t readers[READERS];
    for (int i = 0; i < READERS; i++) {
        readers[i] = start(read_all_the_time, (void *) (intptr_t) (i % 2 == 0 ? -1 : (long) getpid()));
    }
    while (atomic_load(&whole) < reads) {
        sched_yield();
    }
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++) {
        join(readers[i]);
    }
}

static void test_readers_and_writers(unsigned scale)
{
    check(zmalloc_publish(1, 0) == 0);
    write_some(1);
    pthread_t writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = start(write_all_the_time, (void *) (intptr_t) i);
    }
    run_readers(2000 * scale);
    for (int i = 0; i < WRITERS; i++) {
        join(writers[i]);
    }
    check(atomic_load(&written) > 0);
    check(zmalloc_publish(0, 0) == 0);
    printf("figure: %u whole pages read while %u were written\n", atomic_load(&whole), atomic_load(&written));
}

/* A writer that takes its time, so that readers come amid its writing: a page of this test's own. */
static void *write_slowly(void *argument)
{
    struct zmalloc_page *page = argument;
    const struct timespec moment = {.tv_nsec = 100000};
    for (uint64_t number = 2; !atomic_load(&stop); number++) {
        __atomic_store_n(&page->sequence, page->sequence + 1, __ATOMIC_SEQ_CST);
        uint64_t *figures = &page->used;
        for (uint64_t i = 0; i < 10; i++) {
            __atomic_store_n(&figures[i], (i + 1) * number, __ATOMIC_SEQ_CST);
            if (i == 4) {
                nanosleep(&moment, NULL);
            }
        }
        __atomic_store_n(&page->sequence, page->sequence + 1, __ATOMIC_SEQ_CST);
        if (number % 4 == 0) {
            nanosleep(&moment, NULL);
        }
    }
    return NULL;
}

static void test_slow_writer(unsigned scale)
{
    long long started = 0;
    check(get_proc_stat_ll(22, &started) == 1);
    struct zmalloc_page content = {
        .magic = ZMALLOC_PAGE_MAGIC,
        .version = ZMALLOC_PAGE_VERSION,
        .size = sizeof(content),
        .pid = (uint64_t) getpid(),
        .start = (uint64_t) started,
        .refreshed_ns = 1,
        .used = 1,
        .allocated = 2,
        .active = 3,
        .resident = 4,
        .rss = 5,
        .mapped = 6,
        .retained = 7,
        .metadata = 8,
        .muzzy = 9,
        .allocator_frag_smallbins_bytes = 10,
        .peak = 1 << 30, /* more than is ever used here, and a size of any machine */
    };
    int fd = memfd_create("zmalloc", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    check(fd >= 0 && write(fd, &content, sizeof(content)) == (ssize_t) sizeof(content));
    check(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    struct zmalloc_page *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(page != MAP_FAILED);
    atomic_store(&stop, false);
    atomic_store(&whole, 0);
    pthread_t writer = start(write_slowly, page);
    run_readers(500 * scale);
    join(writer);
    munmap(page, sizeof(*page));
    close(fd);
}

/* The page comes and goes, and with it the thread; who reads meanwhile is told so, and is never told figures of 0. */
static void *read_what_comes_and_goes(void *unused)
{
    (void) unused;
    while (!atomic_load(&stop)) {
        struct zmalloc_published page = {.size = sizeof(page)};
        int error = zmalloc_published(-1, &page);
        check(error == 0 || error == -ENOENT || error == -EAGAIN || error == -EBADMSG);
        check(error == 0 ? page.used > 0 && page.used != ZMALLOC_UNKNOWN : page.used == ZMALLOC_UNKNOWN);
    }
    return NULL;
}

static void *publish_and_not(void *argument)
{
    unsigned times = *(unsigned *) argument;
    for (unsigned i = 0; i < times; i++) {
        check(zmalloc_publish(1, i % 2) == 0);
        check(i % 3 != 0 || zmalloc_publish(0, 0) == 0);
    }
    return NULL;
}

static void test_several_start_and_end(unsigned scale)
{
    unsigned times = 200 * scale;
    void *block = zmalloc(1000);
    atomic_store(&stop, false);
    pthread_t reader = start(read_what_comes_and_goes, NULL);
    pthread_t publishers[3];
    for (int i = 0; i < 3; i++) {
        publishers[i] = start(publish_and_not, &times);
    }
    for (int i = 0; i < 3; i++) {
        join(publishers[i]);
    }
    atomic_store(&stop, true);
    join(reader);
    check(zmalloc_publish(0, 0) == 0);
    struct zmalloc_published page = {.size = sizeof(page)};
    check(zmalloc_published(-1, &page) == -ENOENT);
    zfree(block);
}

/* A child that is forked amid all that has no page, and can have its own; under ThreadSanitizer without a thread. */
static void check_child(void)
{
    struct zmalloc_published page = {.size = sizeof(page)};
    check(zmalloc_published((long) getpid(), &page) == -ENOENT);
    write_some(7);
    check(zmalloc_published(-1, &page) == -ENOENT);
    check(zmalloc_publish(1, !THREAD_SANITIZER) == 0 && zmalloc_published(-1, &page) == 0);
    check(zmalloc_publish(0, 0) == 0 && zmalloc_published(-1, &page) == -ENOENT);
}

static void test_forks(unsigned scale)
{
    unsigned times = 1000000;
    atomic_store(&stop, false);
    check(zmalloc_publish(1, 1) == 0);
    pthread_t writer = start(write_all_the_time, &times);
    for (unsigned i = 0; i < 50 * scale; i++) {
        check(i % 10 != 0 || zmalloc_publish(1, i % 20) == 0);
        pid_t child = fork();
        check(child >= 0);
        if (child == 0) {
            check_child();
            _exit(0);
        }
        int status;
        check(waitpid(child, &status, 0) == child && status == 0);
    }
    atomic_store(&stop, true);
    join(writer);
    check(zmalloc_publish(0, 0) == 0);
}

int main(int argc, char **argv)
{
    if (is_emulated() && zmalloc_publish(1, 0) != 0) {
        puts("skipped: this emulator's files about its process are no procfs's");
        return SKIPPED;
    }
    unsigned scale = scale_from(argc, argv);
    test_readers_and_writers(scale);
    test_each_instruction();
    test_slow_writer(scale);
    test_several_start_and_end(scale);
    test_forks(scale);
    return 0;
}
