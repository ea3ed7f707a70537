/* SPDX-License-Identifier: BSD-3-Clause */
/* The limits of this machine and of this process, and how large pages may be: limits that are really set. */
#include "machine_limits.h"
#include "sanitizers.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* glibc has a type of its own for them, where the standard has an int. */
#ifdef __GLIBC__
typedef enum __rlimit_resource resource_name;
#else
typedef int resource_name;
#endif

static size_t plain_limit(resource_name resource)
{
    struct rlimit limit;
    check(getrlimit(resource, &limit) == 0);
    return limit.rlim_cur == RLIM_INFINITY ? ZMALLOC_NO_LIMIT : (size_t) limit.rlim_cur;
}

static void limit_resource(resource_name resource, size_t bytes)
{
    struct rlimit limit;
    check(getrlimit(resource, &limit) == 0);
    limit.rlim_cur = bytes;
    check(setrlimit(resource, &limit) == 0);
}

static void limit_resources(void)
{
    struct zmalloc_memory_limits before = limits_now();
    check(before.address_space == plain_limit(RLIMIT_AS) && before.data == plain_limit(RLIMIT_DATA));
    check_least();

    size_t bytes;
    limit_resource(RLIMIT_DATA, 700 * (size_t) MIB);
    struct zmalloc_memory_limits with_data = limits_now();
    check(with_data.data == 700 * (size_t) MIB && with_data.address_space == before.address_space);
    check(zmalloc_memory_limit(&bytes) == 0 && bytes <= 700 * (size_t) MIB);
    check_least();

    limit_resource(RLIMIT_AS, 600 * (size_t) MIB + 1);
    struct zmalloc_memory_limits with_both = limits_now();
    check(with_both.address_space == 600 * (size_t) MIB + 1 && with_both.data == 700 * (size_t) MIB);
    check(with_both.cgroup == before.cgroup && with_both.physical == before.physical);
    check(zmalloc_memory_limit(&bytes) == 0 && bytes <= 600 * (size_t) MIB + 1);
    check_least();
}

static void test_resource_limits(void **state)
{
    (void) state;
    skip_if_emulated("no limit on memory holds");
    if (THREAD_SANITIZER) {
        print_message("skipped: ThreadSanitizer itself takes memory within the limits\n");
        skip();
    }
    run_in_child(limit_resources);
}

/* The kernel's rule for all processes: the word in brackets. */
static int plain_thp(void)
{
    FILE *enabled = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    if (enabled == NULL) {
        return 0;
    }
    char words[3][32];
    check(fscanf(enabled, "%31s %31s %31s", words[0], words[1], words[2]) == 3);
    fclose(enabled);
    for (int i = 0; i < 3; i++) {
        if (words[i][0] == '[') {
            return words[i][1] == 'a' ? 2 : words[i][1] == 'm' ? 1 : 0;
        }
    }
    return -1;
}

static void disable_and_enable_thp(void)
{
    int mode = -2;
    int rule = plain_thp();
    if (access("/sys/kernel", F_OK) != 0) {
        check(zmalloc_thp(&mode) == -ENOSYS && mode == -1);
        not_here("/sys is not mounted: it can't be told");
    }
    check(zmalloc_thp(&mode) == 0 && mode == rule);
    check(zmalloc_disable_thp(1) == 0 && prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
    check(zmalloc_thp(&mode) == 0 && mode == 0);
    pid_t child = fork();
    if (child == 0) {
        _exit(zmalloc_thp(&mode) == 0 && mode == 0 ? 0 : 1);
    }
    int status;
    check(waitpid(child, &status, 0) == child && status == 0);
    check(zmalloc_disable_thp(0) == 0 && prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 0);
    check(zmalloc_thp(&mode) == 0 && mode == rule);
    check(zmalloc_disable_thp(-7) == 0 && prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
    check(zmalloc_disable_thp(0) == 0);
    /* Newer kernels have a way between: those who ask still get them. */
    enum { EXCEPT_ADVISED = 2 };
    if (prctl(PR_SET_THP_DISABLE, 1, EXCEPT_ADVISED, 0, 0) == 0) {
        check(zmalloc_thp(&mode) == 0 && mode == (rule < 1 ? rule : 1));
    }
}

static void test_huge_pages(void **state)
{
    (void) state;
    skip_if_emulated("huge pages can't be asked about");
    run_in_child(disable_and_enable_thp);
}

/* Every rule that the kernel may have, and texts that say none. */
static void cover_the_rule(void)
{
    static const struct {
        const char *text;
        int mode;
    } rules[] = {
        {"[always] madvise never\n", 2}, {"always [madvise] never\n", 1},
        {"always madvise [never]\n", 0}, {"[always]", 2},
        {"always madvise never\n", -1},  {"", -1},
    };
    static const char path[] = "/sys/kernel/mm/transparent_hugepage/enabled";
    leave_mount_namespace();
    if (access(path, F_OK) != 0) {
        not_here("a kernel without huge pages");
    }
    check(mount("tmpfs", "/mnt", "tmpfs", 0, NULL) == 0);
    write_file("/mnt/enabled", "");
    check(mount("/mnt/enabled", path, NULL, MS_BIND, NULL) == 0);
    for (size_t i = 0; i < LENGTH(rules); i++) {
        int mode = 7;
        write_file("/mnt/enabled", rules[i].text);
        check((zmalloc_thp(&mode) == 0) == (rules[i].mode >= 0));
        check(mode == rules[i].mode);
    }
    int mode = 7;
    check(mount("tmpfs", "/sys/kernel/mm", "tmpfs", 0, NULL) == 0);
    check(zmalloc_thp(&mode) == 0 && mode == 0);
    check(mount("tmpfs", "/sys", "tmpfs", 0, NULL) == 0);
    check(zmalloc_thp(&mode) == -ENOSYS && mode == -1);
}

static void test_rules_of_huge_pages(void **state)
{
    (void) state;
    skip_if_emulated("huge pages can't be asked about");
    run_in_child(cover_the_rule);
}

/* A filter that answers both prctl calls about huge pages as kernels before 3.15 and some sandboxes do. */
static void refuse_prctl(int error)
{
    enum { LOW_HALF = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0 };
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) + LOW_HALF),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_GET_THP_DISABLE, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_THP_DISABLE, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned) error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {LENGTH(steps), steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        not_here("a process can't filter its system calls");
    }
    check(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == -1 && errno == error);
}

/* The process's own setting can't be had, so the system's is the answer; and none is made. */
static void ask_where_prctl_is_refused(int error, int expected)
{
    int before = -2;
    int mode = -2;
    int known = zmalloc_thp(&before);
    refuse_prctl(error);
    check(zmalloc_thp(&mode) == known && mode == before);
    check(zmalloc_disable_thp(1) == expected && zmalloc_disable_thp(0) == expected);
    check(zmalloc_thp(&mode) == known && mode == before);
}

static void ask_an_old_kernel(void)
{
    ask_where_prctl_is_refused(EINVAL, -ENOSYS);
}

static void ask_a_strict_sandbox(void)
{
    ask_where_prctl_is_refused(EPERM, -EPERM);
}

/* It has its rule from who started it, and may not ask for it: /proc says so, where the kernel is new enough. */
static void ask_where_it_is_inherited(void)
{
    int mode = -2;
    char line[128];
    bool is_said = false;
    FILE *lines = fopen("/proc/self/status", "r");
    check(lines != NULL);
    while (fgets(line, sizeof(line), lines) != NULL) {
        is_said |= strncmp(line, "THP_enabled:", strlen("THP_enabled:")) == 0;
    }
    fclose(lines);
    int known = zmalloc_thp(&mode);
    int rule = mode;
    check(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    refuse_prctl(EPERM);
    check(zmalloc_thp(&mode) == known && (known != 0 || mode == (is_said ? 0 : rule)));
}

static char asks_only[] = "asks-only";

/* Another program has it too. */
static void start_a_program_without(void)
{
    int mode;
    check(zmalloc_disable_thp(1) == 0);
    char *arguments[] = {asks_only, NULL};
    check(zmalloc_thp(&mode) == 0 && mode == 0);
    execv("/proc/self/exe", arguments);
    check(false);
}

static void test_inherited_rule_of_huge_pages(void **state)
{
    (void) state;
    skip_if_emulated("huge pages can't be asked about");
    if (access("/sys/kernel", F_OK) == 0) {
        run_in_child(start_a_program_without);
    }
    run_in_child(ask_where_it_is_inherited);
}

static void test_huge_pages_where_prctl_is_refused(void **state)
{
    (void) state;
    skip_if_emulated("huge pages can't be asked about");
    run_in_child(ask_an_old_kernel);
    run_in_child(ask_a_strict_sandbox);
}

static const struct CMUnitTest tests[] = {
    tidy(test_resource_limits),
    tidy(test_huge_pages),
    tidy(test_rules_of_huge_pages),
    tidy(test_huge_pages_where_prctl_is_refused),
    tidy(test_inherited_rule_of_huge_pages),
};

int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], asks_only) == 0) {
        int mode;
        return zmalloc_thp(&mode) == 0 && mode == 0 ? 0 : 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
