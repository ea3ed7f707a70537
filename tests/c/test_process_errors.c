/* SPDX-License-Identifier: BSD-3-Clause */
/* What can't be told of a process, provoked for real: each cause has an error of its own. */
#include "process_errors.h"

#include <pthread.h>
#include <sys/resource.h>

static void test_numbers_that_no_process_has(void **state)
{
    (void) state;
    static const long invalid[] = {0, -2, -5, INT_MIN, LONG_MIN, LONG_MIN + 1};
    static const long nobodys[] = {INT_MAX, LONG_MAX > INT_MAX ? INT_MAX + 2L : INT_MAX, LONG_MAX, LONG_MAX - 1};
    for (size_t i = 0; i < LENGTH(invalid); i++) {
        assert_int_equal(error_of_all(invalid[i]), -EINVAL);
        assert_int_equal(error_of_rss(invalid[i]), -EINVAL);
    }
    for (size_t i = 0; i < LENGTH(nobodys); i++) {
        assert_int_equal(error_of_all(nobodys[i]), -ESRCH);
        assert_int_equal(error_of_rss(nobodys[i]), -ESRCH);
    }
    assert_int_equal(error_of_all(-1), 0);
    assert_int_equal(error_of_all(getpid()), 0);
    assert_int_equal(error_of_rss(getpid()), 0);
}

static void test_nowhere_to_write(void **state)
{
    (void) state;
    struct zmalloc_field fields[ZMALLOC_MOST_FIELDS];
    size_t count = 1;
    size_t bytes = 1;
    assert_int_equal(zmalloc_process_rss(-1, NULL), -EINVAL);
    assert_int_equal(zmalloc_smaps(-1, NULL, &count), -EINVAL);
    assert_int_equal(count, 0);
    assert_int_equal(zmalloc_smaps(-1, fields, NULL), -EINVAL);
    assert_int_equal(zmalloc_mappings(-1, NULL, NULL), -EINVAL);
    assert_int_equal(zmalloc_smap_bytes_by_field(NULL, -1, &bytes), -EINVAL);
    assert_int_equal(bytes, 0);
    assert_int_equal(zmalloc_memory_limits(NULL), -EINVAL);
    assert_int_equal(zmalloc_memory_limit(NULL), -EINVAL);
    assert_int_equal(zmalloc_thp(NULL), -EINVAL);
    assert_int_equal(zmalloc_report(NULL, 0), -EINVAL);
    assert_int_equal(get_proc_stat_ll(1, NULL), 0);
}

static void test_zombie(void **state)
{
    (void) state;
    pid_t child = start_child(nothing);
    assert_int_equal(error_of_all(child), 0);
    kill(child, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t) child, &info, WEXITED | WNOWAIT), 0);
    int error = error_of_all(child);
    int of_rss = error_of_rss(child);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(error, -ESRCH);
    assert_int_equal(of_rss, -ESRCH);
    assert_int_equal(error_of_all(child), -ESRCH);
    assert_int_equal(error_of_rss(child), -ESRCH);
}

/* The kernel says nothing of its own processes' memory; of whom else it says nothing, we may not know. */
static void test_kernel_thread(void **state)
{
    (void) state;
    enum { KTHREADD = 2 };
    char name[32] = "";
    FILE *comm = fopen("/proc/2/comm", "r");
    bool is_one = comm != NULL && fgets(name, sizeof(name), comm) != NULL && strcmp(name, "kthreadd\n") == 0;
    if (comm != NULL) {
        fclose(comm);
    }
    if (!is_one) {
        print_message("skipped: no kernel thread is to be seen here\n");
        skip();
    }
    int error = error_of_all(KTHREADD);
    assert_true(error == -ESRCH || (getuid() != 0 && error == -EACCES));
    assert_int_equal(error_of_rss(KTHREADD), -ESRCH);
}

static pid_t of_root;

static void ask_as_nobody(void)
{
    become_nobody();
    check(error_of_all(of_root) == -EACCES);
    check(error_of_rss(of_root) == 0);
    check(error_of_all(-1) == 0);
}

/* This one is told less: not even the resident size of others. */
static void ask_as_nobody_where_others_are_hidden(void)
{
    leave_mount_namespace();
    if (mount("proc", "/proc", "proc", 0, "hidepid=1") != 0) {
        not_here("this user may not mount /proc");
    }
    become_nobody();
    check(error_of_all(of_root) == -EACCES);
    check(error_of_rss(of_root) == -EACCES);
    check(error_of_all(-1) == 0 && error_of_rss(-1) == 0);
    check(error_of_all(getpid()) == 0 && error_of_rss(getpid()) == 0);
}

static void ask_about_roots(void (*ask)(void))
{
    if (getuid() != 0) {
        print_message("skipped: only root can become another user\n");
        skip();
    }
    of_root = start_child(nothing);
    run_in_child(ask);
    end_child(of_root);
}

static void test_another_users_process(void **state)
{
    (void) state;
    ask_about_roots(ask_as_nobody);
}

static void test_another_users_process_that_is_hidden(void **state)
{
    (void) state;
    ask_about_roots(ask_as_nobody_where_others_are_hidden);
}

/* Takes every descriptor there is; returns one of them. */
static int take_all_descriptors(void)
{
    struct rlimit few = {64, 64};
    check(setrlimit(RLIMIT_NOFILE, &few) == 0);
    int last = -1;
    for (int fd; (fd = dup(STDERR_FILENO)) >= 0;) {
        last = fd;
    }
    check(errno == EMFILE && last > 1);
    return last;
}

static void ask_without_descriptors(void)
{
    int last = take_all_descriptors();
    check(error_of_all(-1) == -EMFILE && error_of_rss(-1) == -EMFILE);
    check(error_of_all(getppid()) == -EMFILE && error_of_rss(getppid()) == -EMFILE);
    check(error_of_all(LONG_MAX) == -EMFILE && error_of_all(-5) == -EINVAL);
    struct zmalloc_memory_limits limits = {.size = sizeof(limits)};
    check(zmalloc_memory_limits(&limits) == 0 && limits.cgroup == ZMALLOC_UNKNOWN);
    struct zmalloc_report report = {.size = sizeof(report)};
    check(zmalloc_report(&report, 1) == 0 && report.rss == ZMALLOC_UNKNOWN && report.pss == ZMALLOC_UNKNOWN);
    long long value;
    check(get_proc_stat_ll(1, &value) == 0);
    /* One is enough to read a file, and two to read one of a process's folder; none stays in use. */
    close(last);
    check(error_of_all(-1) == -EMFILE && error_of_rss(-1) == 0 && error_of_rss(LONG_MAX) == -ESRCH);
    close(last - 1);
    for (int i = 0; i < 100; i++) {
        check(error_of_all(-1) == 0 && error_of_rss(-1) == 0 && error_of_all(LONG_MAX) == -ESRCH);
    }
}

static void test_no_descriptor_left(void **state)
{
    (void) state;
    run_in_child(ask_without_descriptors);
}

static char state_of(pid_t thread)
{
    char path[64];
    char state = '?';
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int) thread);
    FILE *stat = fopen(path, "r");
    check(stat != NULL && fscanf(stat, "%*d (%*[^)]) %c", &state) == 1);
    fclose(stat);
    return state;
}

static struct zmalloc_memory_limits limits_before = {.size = sizeof(limits_before)};

/* The process lives, but the thread whose number is the process's is a zombie. */
static void *ask_without_first_thread(void *unused)
{
    (void) unused;
    while (state_of(getpid()) != 'Z') {
        usleep(1000);
    }
    check(error_of_all(-1) == 0 && error_of_rss(-1) == 0);
    check(error_of_all(getpid()) == 0 && error_of_rss(getpid()) == 0);
    check(zmalloc_get_rss() > 0);
    long long value = 0;
    check(is_emulated() || (get_proc_stat_ll(1, &value) == 1 && value == getpid()));
    struct zmalloc_report report = {.size = sizeof(report)};
    check(zmalloc_report(&report, 1) == 0 && report.rss != ZMALLOC_UNKNOWN && report.uss != ZMALLOC_UNKNOWN);
    struct zmalloc_memory_limits after = {.size = sizeof(after)};
    check(zmalloc_memory_limits(&after) == 0 && after.cgroup == limits_before.cgroup);
    _exit(0);
}

static void end_first_thread(void)
{
    pthread_t other;
    check(zmalloc_memory_limits(&limits_before) == 0);
    check(pthread_create(&other, NULL, ask_without_first_thread, NULL) == 0);
    pthread_exit(NULL);
}

static void test_first_thread_has_ended(void **state)
{
    (void) state;
    run_in_child(end_first_thread);
}

/* They need the stack that the header says, and a little for the C library's own. */
enum { PAINTED = 256 << 10, PROMISED = 24 << 10 };

/* On s390x each of some ten calls within each other has 160 bytes more, for the registers of the next one. */
#ifdef __s390x__
enum { REGISTERS = 10 * 160 };
#else
enum { REGISTERS = 0 };
#endif

static void *ask_all(void *unused)
{
    (void) unused;
    struct zmalloc_memory_limits limits = {.size = sizeof(limits)};
    struct zmalloc_report report = {.size = sizeof(report)};
    int mode;
    bool right = error_of_rss(-1) == 0 && error_of_all(-1) == 0 && zmalloc_memory_limits(&limits) == 0 &&
                 (zmalloc_thp(&mode) == 0 || is_emulated()) && zmalloc_report(&report, 1) == 0;
    return right ? &oom : NULL;
}

static void *ask_nothing(void *unused)
{
    (void) unused;
    return &oom;
}

static size_t stack_of(void *(*body)(void *) )
{
    static _Alignas(4096) unsigned char stack[PAINTED];
    memset(stack, 0xa5, sizeof(stack));
    pthread_attr_t attributes;
    pthread_t thread;
    void *result;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, sizeof(stack)), 0);
    assert_int_equal(pthread_create(&thread, &attributes, body, NULL), 0);
    pthread_join(thread, &result);
    pthread_attr_destroy(&attributes);
    assert_non_null(result);
    size_t untouched = 0;
    while (untouched < sizeof(stack) && stack[untouched] == 0xa5) {
        untouched++;
    }
    return sizeof(stack) - untouched;
}

static void test_stack(void **state)
{
    (void) state;
    size_t idle = stack_of(ask_nothing);
    size_t asking = stack_of(ask_all);
    /* error_of_all has fields of its own. */
    size_t own = sizeof(struct zmalloc_field) * ZMALLOC_MOST_FIELDS;
    expect(asking - idle <= PROMISED + REGISTERS + own, "stack", asking - idle);
}

static const struct CMUnitTest tests[] = {
    tidy(test_numbers_that_no_process_has),
    tidy(test_nowhere_to_write),
    tidy(test_zombie),
    tidy(test_kernel_thread),
    tidy(test_another_users_process),
    tidy(test_another_users_process_that_is_hidden),
    tidy(test_no_descriptor_left),
    tidy(test_first_thread_has_ended),
    tidy(test_stack),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
