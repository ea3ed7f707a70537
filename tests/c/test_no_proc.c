/* SPDX-License-Identifier: BSD-3-Clause */
/* No /proc, something else in its place, and figures there that no kernel writes. */
#include "process_errors.h"

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

    struct zmalloc_memory_limits limits = {.size = sizeof(limits)};
    check(zmalloc_memory_limits(&limits) == 0);
    check(limits.cgroup == ZMALLOC_UNKNOWN);
    bytes = 1;
    check(zmalloc_memory_limit(&bytes) < 0 && bytes == 0);
    check(limits.address_space == ZMALLOC_NO_LIMIT);
    check(zmalloc_purge(&bytes) == (malloc_is_mute() ? -ENOTSUP : 0) && bytes == ZMALLOC_UNKNOWN);

    struct zmalloc_report report = {.size = sizeof(report)};
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
    size_t count = ZMALLOC_MOST_FIELDS;
    leave_mount_namespace();
    check(mount("tmpfs", "/mnt", "tmpfs", 0, NULL) == 0);
    say("smaps_rollup", "");
    say("smaps", "1000-2000 rw-p 00000000 00:00 0 \nRss: 8 kB\nPrivate_Clean: 12 kB\nPrivate_Dirty: 4 kB\n"
                 "Shared_Hugetlb: 4096 kB\nPrivate_Hugetlb: 2048 kB\n"
                 "2000-3000 rw-p 00000000 00:00 0 \nRss: 8 kB\nPrivate_Clean: 4 kB\nPrivate_Dirty: 8 kB\n"
                 "Shared_Hugetlb: 0 kB\nPrivate_Hugetlb: 6144 kB\n");
    check(zmalloc_smap_bytes_by_field("Rss", -1, &bytes) == 0 && bytes == 16 << 10);
    check(zmalloc_smaps(-1, fields, &count) == 0 && count == 5);
    struct zmalloc_report report = {.size = sizeof(report)};
    check(zmalloc_report(&report, 1) == 0);
    check(report.rss == 16 << 10 && report.uss == 28 << 10 && report.private_dirty == 12 << 10);
    check(report.pss == ZMALLOC_UNKNOWN && report.swap == ZMALLOC_UNKNOWN);
    check(report.private_hugetlb == 8 << 20 && report.shared_hugetlb == 4 << 20);

    say_huge(most - 2, 2);
    check(zmalloc_smap_bytes_by_field("Huge", -1, &bytes) == 0 && bytes == (size_t) most * 1024);
    count = ZMALLOC_MOST_FIELDS;
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

static const struct CMUnitTest tests[] = {
    tidy(test_something_else_mounted_on_proc),
    tidy(test_forgery_on_proc),
    tidy(test_proc_unmounted),
    tidy(test_no_proc),
    tidy(test_figures_that_do_not_fit),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
