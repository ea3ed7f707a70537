/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults in questions to the system: of processes, of the machine and its limits. */
#include "operations.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static pid_t other; /* another process, which stands still */

void start_other(void)
{
    other = fork();
    if (other == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            pause();
        }
    }
}

void end_other(void)
{
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
}

/* A status is 0, or a negative errno: the fault's own, where that is one that the header tells. */
static void check_status(int status)
{
    int error = faults_errno(trial.fault);
    check(status <= 0 && status > -4096);
    check(status == 0 || !must_succeed());
    if (!must_succeed() && nothing_went_well() &&
        strncmp(faults_name(trial.fault), "openat", strlen("openat")) == 0) {
        bool is_told = error == EMFILE || error == ENFILE || error == ENOMEM || error == EACCES || error == ESRCH;
        check(status != 0);
        check(!is_told || status == -error);
        check(error != EPERM || status == -EACCES);
        check(error != ENOENT || status == -ENOSYS || status == -ESRCH);
    }
}

static void check_answer(int status, size_t answer, size_t expected)
{
    check_status(status);
    check(status == 0 ? near(answer, expected) : answer == 0);
}

static void check_old_answer(size_t answer, size_t expected)
{
    check(near(answer, expected) || (answer == 0 && !must_succeed()));
}

static void ask_rss(void)
{
    size_t expected;
    size_t bytes = 1;
    check(zmalloc_rss(&expected) == 0 && expected > 0);
    arm();
    int status = zmalloc_rss(&bytes);
    calm();
    check_answer(status, bytes, expected);
}

static void ask_rss_of_old(void)
{
    size_t expected = zmalloc_get_rss();
    arm();
    size_t bytes = zmalloc_get_rss();
    calm();
    check_old_answer(bytes, expected);
}

static void ask_rss_of_other(void)
{
    size_t expected;
    size_t bytes = 1;
    check(zmalloc_process_rss(other, &expected) == 0);
    arm();
    int status = zmalloc_process_rss(other, &bytes);
    calm();
    check_answer(status, bytes, expected);
}

static void ask_dirty(void)
{
    size_t expected;
    size_t bytes = 1;
    check(zmalloc_private_dirty(-1, &expected) == 0);
    arm();
    int status = zmalloc_private_dirty(-1, &bytes);
    calm();
    check_answer(status, bytes, expected);
}

static void ask_dirty_of_other_of_old(void)
{
    size_t expected = zmalloc_get_private_dirty(other);
    check(expected > 0);
    arm();
    size_t bytes = zmalloc_get_private_dirty(other);
    calm();
    check_old_answer(bytes, expected);
}

/* No rollup has this field, so the mappings are summed; and of one that stands still no byte may be missing. */
static char field[] = "Size";

static void ask_field(void)
{
    size_t expected;
    size_t bytes = 1;
    check(zmalloc_smap_bytes_by_field(field, other, &expected) == 0);
    arm();
    int status = zmalloc_smap_bytes_by_field(field, other, &bytes);
    calm();
    check_status(status);
    check(bytes == (status == 0 ? expected : 0));
}

static void ask_field_of_old(void)
{
    size_t expected = zmalloc_get_smap_bytes_by_field(field, other);
    arm();
    size_t bytes = zmalloc_get_smap_bytes_by_field(field, other);
    calm();
    check(bytes == expected || (bytes == 0 && !must_succeed()));
}

static void ask_missing_field(void)
{
    size_t bytes = 1;
    arm();
    int status = zmalloc_smap_bytes_by_field("Nonesuch", -1, &bytes);
    calm();
    check(status < 0 && bytes == 0);
    check(status == -ENOENT || !must_succeed());
}

static void ask_fields_of(long pid)
{
    struct zmalloc_field expected[ZMALLOC_MOST_FIELDS];
    struct zmalloc_field fields[ZMALLOC_MOST_FIELDS];
    size_t expected_count = ZMALLOC_MOST_FIELDS;
    size_t count = ZMALLOC_MOST_FIELDS;
    check(zmalloc_smaps(pid, expected, &expected_count) == 0);
    arm();
    int status = zmalloc_smaps(pid, fields, &count);
    calm();
    check_status(status);
    check(status == 0 ? count >= expected_count : count == 0);
    check(status != 0 || strcmp(fields[0].name, "Rss") != 0 || near(fields[0].bytes, expected[0].bytes));
}

static void ask_fields(void)
{
    ask_fields_of(-1);
}

static void ask_fields_of_other(void)
{
    ask_fields_of(other);
}

static int sum_sizes(const struct zmalloc_mapping *mapping, void *context)
{
    *(size_t *) context += (size_t) (mapping->end - mapping->begin);
    return 0;
}

static void ask_mappings(void)
{
    size_t expected = 0;
    size_t bytes = 0;
    check(zmalloc_mappings(other, sum_sizes, &expected) == 0);
    arm();
    int status = zmalloc_mappings(other, sum_sizes, &bytes);
    calm();
    check_status(status);
    check(status == 0 ? bytes == expected : bytes <= expected);
}

static void ask_memory_size(void)
{
    size_t expected;
    int usual = zmalloc_memory_size(&expected); /* a machine may have more than 32 bits can say */
    size_t bytes = 1;
    arm();
    int status = zmalloc_memory_size(&bytes);
    calm();
    check(status == usual ? bytes == expected : bytes == 0 && status == -ENOSYS);
    check(status == usual || !must_succeed());
    arm();
    bytes = zmalloc_get_memory_size();
    calm_again();
    check(bytes == expected || (bytes == 0 && !must_succeed()));
}

/* A file that isn't there may be one that the kernel doesn't have, and that has a meaning. */
static bool a_file_was_missing(void)
{
    return trial.struck && faults_errno(trial.fault) == ENOENT;
}

static void check_limit(size_t limit, size_t expected)
{
    check(limit == expected || (limit == ZMALLOC_UNKNOWN && !must_succeed()) ||
          (limit == ZMALLOC_NO_LIMIT && a_file_was_missing()));
}

static void ask_limits(void)
{
    struct zmalloc_memory_limits expected = {.size = sizeof(expected)};
    struct zmalloc_memory_limits limits = {.size = sizeof(limits)};
    check(zmalloc_memory_limits(&expected) == 0);
    arm();
    int status = zmalloc_memory_limits(&limits);
    calm();
    check(status == 0);
    check_limit(limits.physical, expected.physical);
    check_limit(limits.cgroup, expected.cgroup);
    check_limit(limits.address_space, expected.address_space);
    check_limit(limits.data, expected.data);
}

static void ask_limit(void)
{
    struct zmalloc_memory_limits limits = {.size = sizeof(limits)};
    size_t expected;
    size_t bytes = 1;
    check(zmalloc_memory_limits(&limits) == 0 && zmalloc_memory_limit(&expected) == 0);
    arm();
    int status = zmalloc_memory_limit(&bytes);
    calm();
    check(status == 0 ? bytes >= expected : bytes == 0);
    check((status == 0 && bytes == expected) || !must_succeed());
    /* The same fault again: the least of what is known then. An error if nothing is, or if the group's is not. */
    arm();
    zmalloc_memory_limits(&limits);
    calm_again();
    size_t known = limits.address_space < limits.data ? limits.address_space : limits.data;
    known = limits.cgroup < known ? limits.cgroup : known;
    known = limits.physical < known ? limits.physical : known;
    bool any = known < ZMALLOC_NO_LIMIT || limits.physical != ZMALLOC_UNKNOWN;
    bool all_groups = limits.cgroup != ZMALLOC_UNKNOWN;
    check(status == 0 ? any && (all_groups || a_file_was_missing()) : !any || !all_groups);
    check(status != 0 || bytes == known || known >= ZMALLOC_NO_LIMIT);
}

/* With a limit that is told whatever becomes of the others. */
static void ask_limit_that_is_set(void)
{
    struct rlimit before;
    check(getrlimit(RLIMIT_DATA, &before) == 0);
    struct rlimit limit = {.rlim_cur = SIZE_MAX / 4, .rlim_max = before.rlim_max};
    check(setrlimit(RLIMIT_DATA, &limit) == 0);
    ask_limit();
    check(setrlimit(RLIMIT_DATA, &before) == 0);
}

static void ask_thp(void)
{
    int expected;
    int mode = 7;
    check(zmalloc_thp(&expected) == 0);
    arm();
    int status = zmalloc_thp(&mode);
    calm();
    check(status <= 0 && (status == 0 || !must_succeed()));
    check(!trial.struck || strcmp(faults_name(trial.fault), "read EIO") != 0 || status == -EIO);
    check(status == 0 ? mode == expected || (mode == 0 && a_file_was_missing()) : mode == -1);
}

static void forbid_thp(void)
{
    int mode;
    arm();
    int status = zmalloc_disable_thp(1);
    calm();
    check(status == 0 || (status < 0 && !must_succeed()));
    check(zmalloc_thp(&mode) == 0 && (status != 0 || mode == 0));
    check(zmalloc_disable_thp(0) == 0);
}

static void ask_stat(void)
{
    long long pid = -7;
    arm();
    int well = get_proc_stat_ll(1, &pid);
    calm();
    check(well == 1 ? pid == getpid() : well == 0 && !must_succeed());
}

/* Without a descriptor or memory nothing is published, and with it all of the figures are. */
static void publish(void)
{
    struct zmalloc_published published = {.size = sizeof(published)};
    arm();
    int status = zmalloc_publish(1, 0);
    calm();
    check(status == 0 || (status < 0 && !must_succeed()));
    check(zmalloc_published(-1, &published) == (status == 0 ? 0 : -ENOENT));
    check(status != 0 || published.used == zmalloc_used_memory());
    check(zmalloc_publish(0, 0) == 0 && zmalloc_published(-1, &published) == -ENOENT);
}

static void ask_published(void)
{
    struct zmalloc_published published = {.size = sizeof(published)};
    check(zmalloc_publish(1, 0) == 0);
    arm();
    int status = zmalloc_published(-1, &published);
    calm();
    check(status == 0 || (status < 0 && !must_succeed()));
    check(published.used == (status == 0 ? zmalloc_used_memory() : ZMALLOC_UNKNOWN));
    check(zmalloc_publish(0, 0) == 0);
}

static const struct operation all[] = {
    {"zmalloc_rss", ask_rss, NULL},
    {"zmalloc_get_rss", ask_rss_of_old, NULL},
    {"zmalloc_process_rss", ask_rss_of_other, NULL},
    {"zmalloc_private_dirty", ask_dirty, NULL},
    {"zmalloc_get_private_dirty", ask_dirty_of_other_of_old, NULL},
    {"zmalloc_smap_bytes_by_field", ask_field, NULL},
    {"zmalloc_smap_bytes_by_field that is missing", ask_missing_field, NULL},
    {"zmalloc_get_smap_bytes_by_field", ask_field_of_old, NULL},
    {"zmalloc_smaps", ask_fields, NULL},
    {"zmalloc_smaps of another process", ask_fields_of_other, NULL},
    {"zmalloc_mappings", ask_mappings, NULL},
    {"zmalloc_memory_size", ask_memory_size, NULL},
    {"zmalloc_get_memory_size", ask_memory_size, NULL},
    {"zmalloc_memory_limits", ask_limits, NULL},
    {"zmalloc_memory_limit", ask_limit, NULL},
    {"zmalloc_memory_limit that is set", ask_limit_that_is_set, NULL},
    {"zmalloc_thp", ask_thp, NULL},
    {"zmalloc_disable_thp", forbid_thp, NULL},
    {"get_proc_stat_ll", ask_stat, NULL},
    {"zmalloc_publish", publish, NULL},
    {"zmalloc_published", ask_published, NULL},
};

const struct operations questions_operations = {all, LENGTH(all)};
