/* SPDX-License-Identifier: BSD-3-Clause */
/* What can't be told of a process, provoked for real: each cause has an error of its own, and never half a sum. */
#include "children.h"

#include <limits.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static char rss_field[] = "Rss";

static int pass(const struct zmalloc_mapping *mapping, void *context)
{
    (void) mapping;
    int *visits = context;
    ++*visits;
    return 0;
}

/* What each call about the memory of a process returns, if all of them return the same and write what they have to.
 */
static int error_of_all(long pid)
{
    struct zmalloc_field fields[ZMALLOC_MOST_FIELDS];
    size_t dirty = 1;
    size_t sum = 1;
    size_t of_smaps = 1;
    size_t count = 1;
    int visits = 0;
    int error = zmalloc_private_dirty(pid, &dirty);
    bool alike = zmalloc_smap_bytes_by_field("Rss", pid, &sum) == error &&
                 zmalloc_smap_bytes_by_field("MMUPageSize:", pid, &of_smaps) == error &&
                 zmalloc_smaps(pid, fields, &count) == error && zmalloc_mappings(pid, pass, &visits) == error;
    bool nothing_told = dirty == 0 && sum == 0 && of_smaps == 0 && count == 0 && visits == 0 &&
                        zmalloc_get_private_dirty(pid) == 0 && zmalloc_get_smap_bytes_by_field(rss_field, pid) == 0;
    if (!alike || nothing_told != (error != 0)) {
        return INT_MAX;
    }
    /* A field that nobody has is no excuse for another error. */
    return error != 0 && zmalloc_smap_bytes_by_field("Nonesuch", pid, &sum) != error ? INT_MAX : error;
}

static int error_of_rss(long pid)
{
    size_t bytes = 1;
    int error = zmalloc_process_rss(pid, &bytes);
    return (bytes == 0) == (error != 0) ? error : INT_MAX;
}

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

/* A process that takes long to tell of: every other page has other permissions. */
enum { MANY_MAPPINGS = 20000 };

static void make_many_mappings(void)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    size_t size = MANY_MAPPINGS * page;
    char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(pages != MAP_FAILED);
    for (size_t i = 0; i < size; i += 2 * page) {
        pages[i] = 1;
        check(mprotect(pages + i, page, PROT_READ) == 0);
    }
}

struct attack {
    void (*strike)(struct attack *attack);
    pid_t child;
    int visits;
    int strike_at;
    int go[2];   /* a byte tells the child to become another program, */
    int gone[2]; /* whose end is closed when it has */
};

static int strike_in_the_middle(const struct zmalloc_mapping *mapping, void *context)
{
    (void) mapping;
    struct attack *attack = context;
    if (++attack->visits == attack->strike_at) {
        attack->strike(attack);
    }
    return 0;
}

static void leave_a_zombie(struct attack *attack)
{
    siginfo_t info;
    kill(attack->child, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t) attack->child, &info, WEXITED | WNOWAIT), 0);
}

static void leave_nothing(struct attack *attack)
{
    end_child(attack->child);
}

/* Another process with the same number, if this kernel lets us choose it. */
static void leave_a_successor(struct attack *attack)
{
    end_child(attack->child);
#ifdef SYS_clone3
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
            cgroup;
    } arguments = {
        .exit_signal = SIGCHLD,
        .set_tid = (uintptr_t) &attack->child,
        .set_tid_size = 1,
    };
    long child = syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            pause();
        }
    }
    if (child < 0) {
        print_message("no successor with the same number: %s\n", strerror(errno));
    }
#endif
}

static void check_attack(void (*strike)(struct attack *attack), int strike_at)
{
    struct attack attack = {.strike = strike, .child = start_child(make_many_mappings), .strike_at = strike_at};
    int result = zmalloc_mappings(attack.child, strike_in_the_middle, &attack);
    kill(attack.child, SIGKILL);
    waitpid(attack.child, NULL, 0);
    assert_int_equal(result, -ESRCH);
    assert_true(attack.visits >= strike_at && attack.visits < MANY_MAPPINGS);
}

static void test_killed_while_being_read(void **state)
{
    (void) state;
    check_attack(leave_a_zombie, 1);
    check_attack(leave_a_zombie, 5000);
    check_attack(leave_nothing, 100);
    check_attack(leave_a_successor, 100);
}

static void *kill_soon(void *context)
{
    const struct attack *attack = context;
    usleep((useconds_t) attack->strike_at);
    kill(attack->child, SIGKILL);
    return NULL;
}

/* It dies at any time: the sum is whole, or there is none. */
static void test_killed_while_being_summed(void **state)
{
    (void) state;
    enum { ROUNDS = 5, MICROSECONDS = 8000 };
    int died = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct attack attack = {.child = start_child(make_many_mappings), .strike_at = round * MICROSECONDS};
        size_t whole;
        assert_int_equal(zmalloc_smap_bytes_by_field("Size", attack.child, &whole), 0);
        assert_true(whole >= (size_t) MANY_MAPPINGS * (size_t) sysconf(_SC_PAGESIZE));
        pthread_t killer;
        assert_int_equal(pthread_create(&killer, NULL, kill_soon, &attack), 0);
        for (int error = 0; error == 0;) {
            size_t bytes = 1;
            error = zmalloc_smap_bytes_by_field("Size", attack.child, &bytes);
            assert_true(error == 0 || error == -ESRCH);
            assert_int_equal(bytes, error == 0 ? whole : 0);
            died += error != 0;
        }
        pthread_join(killer, NULL);
        assert_int_equal(waitpid(attack.child, NULL, 0), attack.child);
    }
    assert_int_equal(died, ROUNDS);
}

static void become_another_program(struct attack *attack)
{
    char byte;
    assert_int_equal(write(attack->go[1], "", 1), 1);
    close(attack->gone[1]);
    assert_int_equal(read(attack->gone[0], &byte, 1), 0);
}

/* The same process and the same number, but none of the memory that was being read. */
static void test_another_program_in_the_middle(void **state)
{
    (void) state;
    struct attack attack = {.strike = become_another_program, .strike_at = 100};
    assert_int_equal(pipe2(attack.go, O_CLOEXEC), 0);
    assert_int_equal(pipe2(attack.gone, O_CLOEXEC), 0);
    attack.child = fork();
    assert_true(attack.child >= 0);
    if (attack.child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        make_many_mappings();
        char byte;
        check(write(attack.gone[1], "", 1) == 1 && read(attack.go[0], &byte, 1) == 1);
        execlp("sleep", "sleep", "100", (char *) NULL);
        _exit(1);
    }
    char byte;
    assert_int_equal(read(attack.gone[0], &byte, 1), 1);
    int result = zmalloc_mappings(attack.child, strike_in_the_middle, &attack);
    int afterwards = error_of_all(attack.child);
    end_child(attack.child);
    close(attack.go[0]);
    close(attack.go[1]);
    close(attack.gone[0]);
    assert_int_equal(result, -ESRCH);
    assert_true(attack.visits < MANY_MAPPINGS);
    assert_int_equal(afterwards, 0);
}

/* Nothing that needs /proc is known; all else is. */
static void check_without_proc(void)
{
    size_t bytes = 1;
    check(error_of_all(-1) == -ENOSYS && error_of_rss(-1) == -ENOSYS);
    check(error_of_all(1) == -ENOSYS && error_of_rss(1) == -ENOSYS);
    check(error_of_all(LONG_MAX) == -ENOSYS && error_of_rss(LONG_MAX) == -ENOSYS);
    check(error_of_all(0) == -EINVAL);
    check(zmalloc_get_rss() == 0);
    long long value = 1;
    check(get_proc_stat_ll(1, &value) == 0);

    struct zmalloc_memory_limits limits;
    check(zmalloc_memory_limits(&limits) == 0);
    check(limits.cgroup == ZMALLOC_UNKNOWN);
    check(limits.address_space == ZMALLOC_NO_LIMIT);
    check(zmalloc_purge(&bytes) == (malloc_is_mute() ? -ENOTSUP : 0) && bytes == ZMALLOC_UNKNOWN);

    struct zmalloc_report report;
    check(zmalloc_report(&report, 1) == 0);
    check(report.rss == ZMALLOC_UNKNOWN && report.rss_overhead_bytes == ZMALLOC_UNKNOWN_DIFFERENCE);
    check(report.pss == ZMALLOC_UNKNOWN && report.uss == ZMALLOC_UNKNOWN && report.swap == ZMALLOC_UNKNOWN);
    check(report.used == zmalloc_used_memory());
    check(report.mem_fragmentation_ratio != report.mem_fragmentation_ratio);
}

static void cover_proc(void)
{
    leave_mount_namespace();
    check(mount("tmpfs", "/proc", "tmpfs", 0, NULL) == 0);
    check_without_proc();
}

/* What lies there looks like the kernel's, but isn't. */
static void cover_proc_with_a_forgery(void)
{
    static const char *const folders[] = {"/proc/self", "/proc/thread-self", "/proc/1", "/proc/9223372036854775807"};
    leave_mount_namespace();
    check(mount("tmpfs", "/proc", "tmpfs", 0, NULL) == 0);
    for (size_t i = 0; i < LENGTH(folders); i++) {
        char path[64];
        check(mkdir(folders[i], 0755) == 0);
        snprintf(path, sizeof(path), "%s/stat", folders[i]);
        write_file(path, "1 (forged) R 1 1\n");
        snprintf(path, sizeof(path), "%s/statm", folders[i]);
        write_file(path, "2 1 1 1 0 1 0\n");
        snprintf(path, sizeof(path), "%s/smaps", folders[i]);
        write_file(path, "1000-2000 rw-p 0 00:00 0 \nRss: 8 kB\nMMUPageSize: 4 kB\nPrivate_Dirty: 8 kB\n");
    }
    write_file("/proc/self/cgroup", "1:memory:/\n");
    check_without_proc();
}

static void unmount_proc(void)
{
    leave_mount_namespace();
    if (umount2("/proc", MNT_DETACH) != 0) {
        not_here("this user may not unmount /proc");
    }
    check_without_proc();
}

static void enter_an_empty_root(void)
{
    leave_mount_namespace();
    check(mount("tmpfs", "/tmp", "tmpfs", 0, NULL) == 0);
    if (chroot("/tmp") != 0 || chdir("/") != 0) {
        not_here("this user may not change the root");
    }
    check_without_proc();
    int mode = 7;
    check((zmalloc_thp(&mode) == -ENOSYS || is_emulated()) && mode == -1);
}

static void test_something_else_mounted_on_proc(void **state)
{
    (void) state;
    run_in_child(cover_proc);
}

static void test_forgery_on_proc(void **state)
{
    (void) state;
    run_in_child(cover_proc_with_a_forgery);
}

static void test_proc_unmounted(void **state)
{
    (void) state;
    run_in_child(unmount_proc);
}

static void test_no_proc(void **state)
{
    (void) state;
    run_in_child(enter_an_empty_root);
}

/* Covers the kernel's own text about this process with another. */
static void say(const char *file, const char *text)
{
    char made[64];
    char path[64];
    snprintf(made, sizeof(made), "/mnt/%s", file);
    snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int) getpid(), file);
    write_file(made, text);
    if (mount(made, path, NULL, MS_BIND, NULL) != 0) {
        not_here("this kernel lets nothing be mounted there");
    }
}

static int pass_all(const struct zmalloc_mapping *mapping, void *context)
{
    (void) context;
    return mapping->count == 0;
}

/* Two mappings of so many kB. */
static void say_huge(unsigned long long first, unsigned long long second)
{
    char text[512];
    snprintf(text, sizeof(text),
             "1000-2000 rw-p 00000000 00:00 0 \nRss: 8 kB\nHuge: %llu kB\n"
             "2000-3000 rw-p 00000000 00:00 0 \nRss: 8 kB\nHuge: %llu kB\n",
             first, second);
    write_file("/mnt/smaps", text);
}

/*
 * Figures that no kernel says of a process as wide as this one; of a process of 64 bits it may, to one of 32. And
 * none of today's kernels leaves the rollup out, as here.
 */
static void ask_of_forged_figures(void)
{
    const unsigned long long most = SIZE_MAX / 1024;
    struct zmalloc_field fields[ZMALLOC_MOST_FIELDS];
    size_t bytes = 1;
    size_t count = 1;
    leave_mount_namespace();
    check(mount("tmpfs", "/mnt", "tmpfs", 0, NULL) == 0);
    say("smaps_rollup", "");
    say("smaps", "1000-2000 rw-p 00000000 00:00 0 \nRss: 8 kB\nPrivate_Clean: 12 kB\nPrivate_Dirty: 4 kB\n"
                 "2000-3000 rw-p 00000000 00:00 0 \nRss: 8 kB\nPrivate_Clean: 4 kB\nPrivate_Dirty: 8 kB\n");
    check(zmalloc_smap_bytes_by_field("Rss", -1, &bytes) == 0 && bytes == 16 << 10);
    check(zmalloc_smaps(-1, fields, &count) == 0 && count == 3);
    struct zmalloc_report report;
    check(zmalloc_report(&report, 1) == 0);
    check(report.rss == 16 << 10 && report.uss == 28 << 10 && report.private_dirty == 12 << 10);
    check(report.pss == ZMALLOC_UNKNOWN && report.swap == ZMALLOC_UNKNOWN);

    say_huge(most - 2, 2);
    check(zmalloc_smap_bytes_by_field("Huge", -1, &bytes) == 0 && bytes == (size_t) most * 1024);
    check(zmalloc_smaps(-1, fields, &count) == 0 && count == 2 && fields[1].bytes == bytes);
    say_huge(most, 1);
    check(zmalloc_smap_bytes_by_field("Huge", -1, &bytes) == -EOVERFLOW && bytes == 0);
    say_huge(most, most);
    check(zmalloc_smap_bytes_by_field("Rss", -1, &bytes) == 0 && bytes == 16 << 10);
    check(zmalloc_smap_bytes_by_field("Huge", -1, &bytes) == -EOVERFLOW && bytes == 0);
    check(zmalloc_smaps(-1, fields, &count) == -EOVERFLOW && count == 0);
    check(zmalloc_mappings(-1, pass_all, NULL) == 0);
    say_huge(most + 1, 0);
    check(zmalloc_mappings(-1, pass_all, NULL) == -EOVERFLOW);
}

static void test_figures_that_do_not_fit(void **state)
{
    (void) state;
    run_in_child(ask_of_forged_figures);
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
    struct zmalloc_memory_limits limits;
    check(zmalloc_memory_limits(&limits) == 0 && limits.cgroup == ZMALLOC_UNKNOWN);
    struct zmalloc_report report;
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

static struct zmalloc_memory_limits limits_before;

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
    struct zmalloc_report report;
    check(zmalloc_report(&report, 1) == 0 && report.rss != ZMALLOC_UNKNOWN && report.uss != ZMALLOC_UNKNOWN);
    struct zmalloc_memory_limits after;
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

static void *ask_all(void *unused)
{
    (void) unused;
    struct zmalloc_memory_limits limits;
    struct zmalloc_report report;
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
    expect(asking - idle <= PROMISED + own, "stack", asking - idle);
}

static const struct CMUnitTest tests[] = {
    tidy(test_numbers_that_no_process_has),
    tidy(test_nowhere_to_write),
    tidy(test_zombie),
    tidy(test_kernel_thread),
    tidy(test_another_users_process),
    tidy(test_another_users_process_that_is_hidden),
    tidy(test_killed_while_being_read),
    tidy(test_killed_while_being_summed),
    tidy(test_another_program_in_the_middle),
    tidy(test_something_else_mounted_on_proc),
    tidy(test_forgery_on_proc),
    tidy(test_proc_unmounted),
    tidy(test_no_proc),
    tidy(test_figures_that_do_not_fit),
    tidy(test_no_descriptor_left),
    tidy(test_first_thread_has_ended),
    tidy(test_stack),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
