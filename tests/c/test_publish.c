/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures that a process publishes: who can read them, until when, and what is no such page. */
#include "children.h"

#include "sanitizers.h"
#include "zmalloc_page.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

/* ThreadSanitizer lets a child of several threads start none. */
enum { INTERVAL_IN_CHILD = !THREAD_SANITIZER };

static struct zmalloc_published published;

static int read_published(long pid)
{
    memset(&published, 1, sizeof(published));
    published.size = sizeof(published);
    return zmalloc_published(pid, &published);
}

static bool has_figures(void)
{
    const size_t figures[] = {published.used,        published.allocated,
                              published.active,      published.resident,
                              published.rss,         published.mapped,
                              published.retained,    published.metadata,
                              published.muzzy,       published.allocator_frag_smallbins_bytes,
                              published.peak,        published.total_allocated,
                              published.total_freed, published.limit,
                              published.soft_limit};
    for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++) {
        if (figures[i] != ZMALLOC_UNKNOWN) {
            return true;
        }
    }
    return published.allocator[0] != '\0';
}

static void expect_error(long pid, int error, const char *what)
{
    int got = read_published(pid);
    if (got != error) {
        fail_msg("%s: %d and not %d", what, got, error);
    }
    assert_int_equal(published.size, sizeof(published));
    assert_false(has_figures());
}

static void read_report(void)
{
    struct zmalloc_report report = {.size = sizeof(report)};
    zmalloc_report(&report, 0);
}

static void publish(void)
{
    check(zmalloc_publish(1, 0) == 0);
}

static void test_arguments(void **state)
{
    (void) state;
    assert_int_equal(zmalloc_publish(2, 0), -EINVAL);
    assert_int_equal(zmalloc_publish(-1, 0), -EINVAL);
    assert_int_equal(zmalloc_published(-1, NULL), -EINVAL);
    expect_error(0, -EINVAL, "no number of a process");
    expect_error(-2, -EINVAL, "no number of a process");
    expect_error(-1, -ENOENT, "nothing published");
    expect_error(getpid(), -ENOENT, "nothing published");
    assert_int_equal(zmalloc_publish(0, 0), 0);
    published.size = sizeof(published) - 1;
    assert_int_equal(zmalloc_published(-1, &published), -EINVAL);
    assert_int_equal(published.size, sizeof(published) - 1);
}

static void test_figures_are_those_of_the_report(void **state)
{
    (void) state;
    uint64_t before = (uint64_t) time(NULL) * 1000000000;
    zmalloc_set_limit((size_t) 1 << 30);
    assert_int_equal(zmalloc_publish(1, 0), 0);
    void *block = zmalloc(100000);
    struct zmalloc_report report = {.size = sizeof(report)};
    assert_int_equal(zmalloc_report(&report, 0), 0);
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(published.used, report.used);
    assert_int_equal(published.allocated, report.allocated);
    assert_int_equal(published.active, report.active);
    assert_int_equal(published.resident, report.resident);
    assert_int_equal(published.rss, report.rss);
    assert_int_equal(published.mapped, report.mapped);
    assert_int_equal(published.retained, report.retained);
    assert_int_equal(published.metadata, report.metadata);
    assert_int_equal(published.muzzy, report.muzzy);
    assert_int_equal(published.allocator_frag_smallbins_bytes, report.allocator_frag_smallbins_bytes);
    assert_int_equal(published.peak, zmalloc_peak_memory());
    assert_int_equal(published.total_allocated, zmalloc_total_allocated());
    assert_int_equal(published.total_freed, zmalloc_total_freed());
    assert_int_equal(published.limit, (size_t) 1 << 30);
    assert_int_equal(published.soft_limit, ZMALLOC_NO_LIMIT);
    assert_int_equal(published.interval_ms, 0);
    assert_string_equal(published.allocator, zmalloc_allocator());
    assert_true(published.wall_ns >= before && published.wall_ns <= (uint64_t) time(NULL) * 1000000000 + 1000000000);
    zmalloc_set_limit(0);
    zfree(block);
    assert_int_equal(zmalloc_publish(0, 0), 0);
    expect_error(-1, -ENOENT, "not any more");
}

static void test_only_a_report_refreshes(void **state)
{
    (void) state;
    assert_int_equal(zmalloc_publish(1, 0), 0);
    assert_int_equal(read_published(-1), 0);
    size_t before = published.used;
    uint64_t wall = published.wall_ns;
    char *block = zmalloc(1 << 20);
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(published.used, before);
    assert_int_equal(published.wall_ns, wall);
    read_report();
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(published.used, before + zmalloc_size(block));
    assert_true(published.wall_ns > wall);
    zfree(block);
    zmalloc_reset_peak_memory();
    read_report();
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(published.peak, published.used);
    assert_int_equal(zmalloc_publish(0, 0), 0);
}

static bool comes_to(size_t used)
{
    for (int i = 0; i < 6000; i++) {
        if (read_published(-1) == 0 && published.used == used) {
            return true;
        }
        usleep(10000);
    }
    return false;
}

static void test_thread_refreshes(void **state)
{
    (void) state;
    size_t used = zmalloc_used_memory();
    assert_int_equal(zmalloc_publish(1, 1), 0);
    void *block = zmalloc(300000);
    assert_true(comes_to(used + zmalloc_size(block)));
    assert_int_equal(published.interval_ms, 1);
    zfree(block);
    assert_true(comes_to(used));

    assert_int_equal(zmalloc_publish(1, 1000000), 0); /* the old thread ends, the new one waits */
    assert_int_equal(read_published(-1), 0);
    uint64_t wall = published.wall_ns;
    assert_int_equal(published.interval_ms, 1000000);
    usleep(50000);
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(published.wall_ns, wall);
    assert_int_equal(zmalloc_publish(1, (size_t) INT32_MAX + 1), -EINVAL);
    assert_int_equal(zmalloc_publish(0, 0), 0); /* without waiting for so long */
    expect_error(-1, -ENOENT, "not any more");
}

static void test_ends_with_the_process(void **state)
{
    (void) state;
    pid_t child = start_child(publish);
    assert_int_equal(read_published(child), 0);
    assert_true(published.rss > 0);
    kill(child, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t) child, &info, WEXITED | WNOWAIT), 0);
    expect_error(child, -ESRCH, "a zombie");
    assert_int_equal(waitpid(child, NULL, 0), child);
    expect_error(child, -ESRCH, "nobody");
}

static void test_ends_with_the_program(void **state)
{
    (void) state;
    int ready[2];
    int asked[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(asked), 0);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        publish();
        dup2(ready[1], 1);
        if (write(1, &byte, 1) == 1 && read(asked[0], &byte, 1) == 1) {
            execl("/bin/sh", "sh", "-c", "echo; exec sleep 1000", (char *) NULL);
        }
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(read_published(child), 0); /* so that its place is known */
    assert_int_equal(write(asked[1], &byte, 1), 1);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(asked[i]);
    }
    expect_error(child, -ENOENT, "another program");
    end_child(child);
}

static void check_own_page_alone(void)
{
    pid_t parent = getppid();
    check(read_published(getpid()) == -ENOENT);
    check(read_published(parent) == 0);
    size_t used = published.used;
    void *block = zmalloc(1 << 20);
    read_report();
    check(read_published(parent) == 0 && published.used == used);
    check(zmalloc_publish(1, INTERVAL_IN_CHILD) == 0);
    check(read_published(-1) == 0 && published.used == zmalloc_used_memory());
    check(read_published(parent) == 0 && published.used == used);
    check(zmalloc_publish(0, 0) == 0 && read_published(-1) == -ENOENT);
    check(read_published(parent) == 0);
    zfree(block);
}

static void test_child_does_not_publish(void **state)
{
    (void) state;
    assert_int_equal(zmalloc_publish(1, 0), 0);
    run_in_child(check_own_page_alone);
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(zmalloc_publish(1, 1), 0); /* a thread that a child does not have */
    run_in_child(check_own_page_alone);
    assert_int_equal(zmalloc_publish(0, 0), 0);
}

/* Neither do handlers run in this child, nor does it know who it is before it asks. */
static void test_child_without_handlers(void **state)
{
    (void) state;
    skip_if_emulated("clone goes another way");
    if (THREAD_SANITIZER) {
        skip(); /* in the child its locks are those of threads that are not there */
    }
    assert_int_equal(zmalloc_publish(1, 0), 0);
    int to_child[2];
    int to_parent[2];
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(to_parent), 0);
    pid_t child = (pid_t) syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        char byte;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (read(to_child[0], &byte, 1) == 1) {
            read_report();
            _exit(write(to_parent[1], "", 1) == 1 && read(to_child[0], &byte, 1) == 1 ? 0 : 1);
        }
        _exit(1);
    }
    expect_error(child, -EPERM, "the parent's page");
    assert_int_equal(write(to_child[1], "", 1), 1);
    char byte;
    assert_int_equal(read(to_parent[0], &byte, 1), 1);
    expect_error(child, -ENOENT, "the child knows now");
    assert_int_equal(write(to_child[1], "", 1), 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    for (int i = 0; i < 2; i++) {
        close(to_child[i]);
        close(to_parent[i]);
    }
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(zmalloc_publish(0, 0), 0);
}

static int find_descriptor(void)
{
    for (int fd = 0; fd < 1024; fd++) {
        char path[64];
        char link[64];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, link, sizeof(link) - 1);
        if (length > 0 && strncmp(link, "/memfd:zmalloc ", 15) == 0) {
            return fd;
        }
    }
    return -1;
}

static void test_program_closes_descriptor(void **state)
{
    (void) state;
    assert_int_equal(zmalloc_publish(1, 0), 0);
    int fd = find_descriptor();
    assert_true(fd >= 32);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(close(fd), 0);
    expect_error(-1, -ENOENT, "closed");
    read_report();
    assert_int_equal(read_published(-1), 0);

    int own = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(own >= 0);
    fd = find_descriptor();
    assert_int_equal(dup2(own, fd), fd);
    expect_error(-1, -ENOENT, "another file");
    read_report();
    assert_int_equal(read_published(-1), 0);
    int other = find_descriptor();
    assert_true(other != fd);
    assert_int_equal(dup2(own, other), other);
    assert_int_equal(zmalloc_publish(0, 0), 0);
    assert_int_equal(fcntl(fd, F_GETFD), 0); /* they are the program's, and open */
    assert_int_equal(fcntl(other, F_GETFD), 0);
    close(other);
    close(fd);
    close(own);
}

static void lack_descriptors(void)
{
    publish();
    close(find_descriptor());
    int lowest = dup(0);
    close(lowest);
    struct rlimit none = {(rlim_t) lowest, (rlim_t) lowest};
    check(setrlimit(RLIMIT_NOFILE, &none) == 0);
    read_report(); /* without a page that can be found */
    check(zmalloc_publish(1, 0) == -EMFILE);
    check(read_published(-1) == -EMFILE);
    check(zmalloc_publish(0, 0) == 0);
}

static void test_no_descriptor(void **state)
{
    (void) state;
    run_in_child(lack_descriptors);
}

static void publish_as_nobody(void)
{
    check(zmalloc_publish(1, 0) == 0);
    become_nobody();
    read_report();
    check(prctl(PR_SET_DUMPABLE, 1) == 0);
}

static void publish_then_hide(void)
{
    publish_as_nobody();
    check(prctl(PR_SET_DUMPABLE, 0) == 0);
}

static pid_t watched;

static void read_as_nobody(void)
{
    become_nobody();
    check(read_published(watched) == 0 && published.rss > 0);
}

static void read_as_other(void)
{
    check(setgid(65533) == 0 && setuid(65533) == 0);
    check(read_published(watched) == -EACCES && !has_figures());
}

static void read_hidden(void)
{
    become_nobody();
    check(read_published(watched) == -EACCES && !has_figures());
}

static void test_users(void **state)
{
    (void) state;
    if (geteuid() != 0) {
        print_message("skipped: only root can be another\n");
        skip();
    }
    watched = start_child(publish_as_nobody);
    assert_int_equal(read_published(watched), 0);
    run_in_child(read_as_nobody);
    run_in_child(read_as_other);
    end_child(watched);
    watched = start_child(publish_then_hide);
    assert_int_equal(read_published(watched), 0);
    run_in_child(read_hidden);
    end_child(watched);
    watched = start_child(publish);
    run_in_child(read_as_other);
    end_child(watched);
}

/* Forged pages. */

static uint64_t steady_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static struct zmalloc_page good_page(void)
{
    long long start = 0;
    assert_int_equal(get_proc_stat_ll(22, &start), 1);
    return (struct zmalloc_page){
        .magic = ZMALLOC_PAGE_MAGIC,
        .version = ZMALLOC_PAGE_VERSION,
        .size = sizeof(struct zmalloc_page),
        .pid = (uint64_t) getpid(),
        .start = (uint64_t) start,
        .since_ns = 1,
        .allocator = "forged-1",
        .sequence = 2,
        .refreshed_ns = steady_ns(),
        .wall_ns = 5,
        .used = 10,
        .allocated = 20,
        .active = ZMALLOC_PAGE_UNKNOWN,
        .peak = 12,
    };
}

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW };

static int forge_file(const void *content, size_t bytes, int seals)
{
    int fd = memfd_create("zmalloc", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, bytes), bytes);
    assert_true(seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

static void expect_forged(const char *what, const struct zmalloc_page *page, int error)
{
    int fd = forge_file(page, sizeof(*page), SEALS);
    expect_error(-1, error, what);
    close(fd);
}

static void test_forged_page_that_is_whole(void **state)
{
    (void) state;
    struct zmalloc_page page = good_page();
    int fd = forge_file(&page, sizeof(page), SEALS);
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(published.used, 10);
    assert_int_equal(published.allocated, 20);
    assert_int_equal(published.active, ZMALLOC_UNKNOWN);
    assert_int_equal(published.resident, 0);
    assert_int_equal(published.limit, ZMALLOC_NO_LIMIT);
    assert_string_equal(published.allocator, "forged-1");
    assert_int_equal(published.wall_ns, 5);
    close(fd);

    /* A later version's, with more fields at its end. */
    unsigned char longer[sizeof(page) + 8] = {0};
    page.size = sizeof(longer);
    memcpy(longer, &page, sizeof(page));
    fd = forge_file(longer, sizeof(longer), SEALS);
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(published.used, 10);
    close(fd);
}

#define FORGED(what, error, change)                                                                                  \
    do {                                                                                                             \
        struct zmalloc_page page = good_page();                                                                      \
        change;                                                                                                      \
        expect_forged(what, &page, error);                                                                           \
    } while (0)

static void test_forged_fields(void **state)
{
    (void) state;
    const uint64_t large = (uint64_t) 1 << 57;
    FORGED("magic", -EBADMSG, page.magic[0] = 'Z');
    FORGED("an older version", -EPROTONOSUPPORT, page.version = 0);
    FORGED("a later version", -EPROTONOSUPPORT, page.version = 2);
    FORGED("size 0", -EBADMSG, page.size = 0);
    FORGED("a larger size", -EBADMSG, page.size += 8);
    FORGED("the largest size", -EBADMSG, page.size = UINT32_MAX);
    FORGED("another process", -EPERM, page.pid++);
    FORGED("the number again", -EPERM, page.start--);
    FORGED("torn", -EAGAIN, page.sequence = 3);
    FORGED("a negative number", -EBADMSG, page.used = (uint64_t) -4096);
    FORGED("used unknown", -EBADMSG, page.used = ZMALLOC_PAGE_UNKNOWN);
    FORGED("too much", -EBADMSG, page.used = page.peak = large);
    FORGED("more than the peak", -EBADMSG, page.used = page.peak + 1);
    FORGED("too much allocated", -EBADMSG, page.allocated = large);
    FORGED("too much active", -EBADMSG, page.active = large);
    FORGED("too much resident", -EBADMSG, page.resident = UINT64_MAX - 1);
    FORGED("too much rss", -EBADMSG, page.rss = large);
    FORGED("too much mapped", -EBADMSG, page.mapped = large);
    FORGED("too much retained", -EBADMSG, page.retained = large);
    FORGED("too much metadata", -EBADMSG, page.metadata = large);
    FORGED("too much muzzy", -EBADMSG, page.muzzy = large);
    FORGED("too much in slabs", -EBADMSG, page.allocator_frag_smallbins_bytes = large);
    FORGED("a negative total", -EBADMSG, page.total_allocated = UINT64_MAX);
    FORGED("a negative total", -EBADMSG, page.total_freed = UINT64_MAX - 5);
    FORGED("of tomorrow", -EBADMSG, page.refreshed_ns += 86400ull * 1000000000);
    FORGED("before it was made", -EBADMSG, page.since_ns = page.refreshed_ns + 1);
    FORGED("no time", -EBADMSG, page.wall_ns = UINT64_MAX);
    FORGED("no interval", -EBADMSG, page.interval_ms = UINT64_MAX);
    FORGED("a name without end", -EBADMSG, memset(page.allocator, 'a', sizeof(page.allocator)));
    FORGED("a name that clears the screen", -EBADMSG, page.allocator[1] = '\033');
    assert_int_equal(read_published(-1), -ENOENT);
}

static void test_forged_files(void **state)
{
    (void) state;
    static unsigned char long_page[1 << 20];
    struct zmalloc_page page = good_page();
    memcpy(long_page, &page, sizeof(page));
    const size_t sizes[] = {0, 1, 8, 84, sizeof(page) - 1, sizeof(page) + 1, 4097, sizeof(long_page)};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        int fd = forge_file(long_page, sizes[i], SEALS);
        expect_error(-1, -EBADMSG, "a wrong length");
        close(fd);
    }
    const int some[] = {0, F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_SEAL | F_SEAL_SHRINK, F_SEAL_SEAL | F_SEAL_GROW};
    for (size_t i = 0; i < sizeof(some) / sizeof(*some); i++) {
        int fd = forge_file(&page, sizeof(page), some[i]);
        expect_error(-1, -EBADMSG, "not sealed");
        close(fd);
    }
}

static void test_stale(void **state)
{
    (void) state;
    struct zmalloc_page page = good_page();
    if (page.refreshed_ns < 20ull * 1000000000) {
        skip(); /* a machine that has just started */
    }
    page.refreshed_ns -= 15ull * 1000000000;
    page.interval_ms = 1000;
    expect_forged("stale", &page, -ESTALE);
    assert_int_equal(published.wall_ns, 5);
    assert_int_equal(published.interval_ms, 1000);
    assert_true(published.age_us >= 15000000 && published.age_us < 600000000);

    page.interval_ms = 1000000;
    int fd = forge_file(&page, sizeof(page), SEALS);
    assert_int_equal(read_published(-1), 0);
    assert_true(published.age_us >= 15000000);
    close(fd);
    page.interval_ms = 0;
    fd = forge_file(&page, sizeof(page), SEALS);
    assert_int_equal(read_published(-1), 0); /* it has promised nothing */
    close(fd);
}

/* The page that was made first counts, and none that is not whole. */
static void test_several_pages(void **state)
{
    (void) state;
    struct zmalloc_page bad = good_page();
    struct zmalloc_page first = good_page();
    struct zmalloc_page second = good_page();
    bad.version = 7;
    second.since_ns = 2;
    second.used = 11;
    int fds[] = {forge_file(&bad, sizeof(bad), SEALS), forge_file(&second, sizeof(second), SEALS),
                 forge_file(&first, sizeof(first), SEALS), forge_file(&bad, sizeof(bad), SEALS)};
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(published.used, 10);
    close(fds[2]);
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(published.used, 11);
    assert_int_equal(zmalloc_publish(1, 0), 0);
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(published.used, 11);
    close(fds[1]);
    assert_int_equal(read_published(-1), 0);
    assert_int_equal(published.used, zmalloc_used_memory());
    assert_int_equal(zmalloc_publish(0, 0), 0);
    expect_error(-1, -EPROTONOSUPPORT, "what is left");
    close(fds[0]);
    close(fds[3]);
}

/* What is at the place where a page was found is checked like any other. */
static void test_place_has_another_page(void **state)
{
    (void) state;
    struct zmalloc_page good = good_page();
    struct zmalloc_page other = good_page();
    other.used = 11;
    struct zmalloc_page bad[] = {good_page(), good_page(), good_page(), good_page()};
    const int errors[] = {-EPERM, -EPERM, -EPROTONOSUPPORT, -EBADMSG};
    bad[0].pid++;
    bad[1].start++;
    bad[2].version++;
    bad[3].used = UINT64_MAX;
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
        int place = forge_file(&good, sizeof(good), SEALS);
        assert_int_equal(read_published(-1), 0);
        int fd = forge_file(&bad[i], sizeof(bad[i]), SEALS);
        assert_int_equal(dup2(fd, place), place);
        close(fd);
        expect_error(-1, errors[i], "another page at the place");
        fd = forge_file(&other, sizeof(other), SEALS);
        assert_int_equal(read_published(-1), 0);
        assert_int_equal(published.used, 11);
        close(fd);
        close(place);
    }
}

static void publish_among_many(void)
{
    enum { MANY = 4000 };
    struct rlimit limit;
    check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int i = 0; i < MANY; i++) {
        check(dup(0) >= 0);
    }
    publish();
}

static uint64_t cpu_ns_of_reading(long pid)
{
    struct timespec times[2];
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &times[0]);
    assert_int_equal(read_published(pid), 0);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &times[1]);
    return (uint64_t) (times[1].tv_sec - times[0].tv_sec) * 1000000000 + (uint64_t) times[1].tv_nsec -
           (uint64_t) times[0].tv_nsec;
}

/* A page that was found among many descriptors is found again without them. */
static void test_many_descriptors(void **state)
{
    (void) state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < 4100 || is_emulated()) {
        skip();
    }
    pid_t child = start_child(publish_among_many);
    uint64_t first = cpu_ns_of_reading(child);
    uint64_t again = UINT64_MAX;
    for (int i = 0; i < 10; i++) {
        uint64_t cost = cpu_ns_of_reading(child);
        again = cost < again ? cost : again;
    }
    printf("figure: the first reading took %llu us, and others %llu us\n", (unsigned long long) first / 1000,
           (unsigned long long) again / 1000);
    assert_true(again * 5 < first);
    end_child(child);
}

/* Files that are called so, but are on a disk or are no files: in a root of this child's own. */
static void forge_names(void)
{
    leave_mount_namespace();
    check(mkdir("/tmp/publish-root", 0700) == 0 || errno == EEXIST);
    if (mount("tmpfs", "/tmp/publish-root", "tmpfs", 0, NULL) != 0) {
        not_here("this user may mount nothing");
    }
    check(mkdir("/tmp/publish-root/proc", 0700) == 0);
    if (mount("/proc", "/tmp/publish-root/proc", NULL, MS_BIND | MS_REC, NULL) != 0) {
        not_here("this user may mount no /proc");
    }
    check(chroot("/tmp/publish-root") == 0 && chdir("/") == 0);
    struct zmalloc_page page = {.magic = ZMALLOC_PAGE_MAGIC};
    int fd = open("/memfd:zmalloc", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    check(fd >= 0 && write(fd, &page, sizeof(page)) == (ssize_t) sizeof(page) && unlink("/memfd:zmalloc") == 0);
    check(read_published(-1) == -EBADMSG && !has_figures());
    close(fd);
    check(mkfifo("/memfd:zmalloc", 0600) == 0);
    fd = open("/memfd:zmalloc", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    check(fd >= 0 && unlink("/memfd:zmalloc") == 0);
    check(read_published(-1) == -EBADMSG && !has_figures()); /* and it has waited for nobody */
    close(fd);
    check(symlink("/dev/zero", "/memfd:zmalloc") == 0);
    fd = open("/memfd:zmalloc", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    check(fd >= 0 && unlink("/memfd:zmalloc") == 0);
    int error = read_published(-1);
    check((error == -EBADMSG || error == -ELOOP) && !has_figures());
    close(fd);
    check(zmalloc_publish(1, 0) == 0 && read_published(-1) == 0);
}

static void test_other_files_of_that_name(void **state)
{
    (void) state;
    skip_if_emulated("names are the emulator's");
    run_in_child(forge_names);
    rmdir("/tmp/publish-root");
}

static void forbid_proc(void)
{
    leave_mount_namespace();
    check(zmalloc_publish(1, 0) == 0 && read_published(-1) == 0);
    if (mount("tmpfs", "/proc", "tmpfs", 0, NULL) != 0) {
        not_here("this user may mount nothing");
    }
    check(read_published(-1) == -ENOSYS && !has_figures());
    check(zmalloc_publish(1, 0) == -ENOSYS);
    check(zmalloc_publish(0, 0) == 0);
}

static void test_no_proc(void **state)
{
    (void) state;
    run_in_child(forbid_proc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        tidy(test_arguments),
        tidy(test_figures_are_those_of_the_report),
        tidy(test_only_a_report_refreshes),
        tidy(test_thread_refreshes),
        tidy(test_ends_with_the_process),
        tidy(test_ends_with_the_program),
        tidy(test_child_does_not_publish),
        tidy(test_child_without_handlers),
        tidy(test_program_closes_descriptor),
        tidy(test_no_descriptor),
        tidy(test_users),
        tidy(test_forged_page_that_is_whole),
        tidy(test_forged_fields),
        tidy(test_forged_files),
        tidy(test_stale),
        tidy(test_several_pages),
        tidy(test_place_has_another_page),
        tidy(test_many_descriptors),
        tidy(test_other_files_of_that_name),
        tidy(test_no_proc),
    };
    if (is_emulated() && zmalloc_publish(1, 0) != 0) {
        puts("skipped: this emulator's files about its process are no procfs's");
        return NOT_HERE;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
