/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every call that can fail inside the library, failed in turn, in every public operation: the first, the second and
 * so on, alone and with all after it, until the operation ends without having met the fault. After each everything
 * must be as the header says. Its argument is where the headers are.
 */
#include "emulation.h"
#include "faults.h"
#include "ways.h"
#include "zmalloc_lua.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is tried, for all to see. */
static struct {
    const char *call; /* the operation; it begins with its name in the header */
    const char *where;
    int fault;
    unsigned nth;
    int persistent;
    bool struck;
} trial;

#define check(condition) check_at(__LINE__, (condition), #condition)

static void check_at(int line, bool holds, const char *condition)
{
    if (!holds) {
        fprintf(stderr, "line %d, %s %s, '%s' at call %u%s%s: not so: %s\n", line, trial.call, trial.where,
                faults_name(trial.fault), trial.nth, trial.persistent ? " and after" : "",
                trial.struck ? "" : " (not met)", condition);
        _exit(1);
    }
}

static void arm(void)
{
    trial.struck = false;
    faults_arm(trial.fault, trial.nth, trial.persistent);
}

static void calm(void)
{
    trial.struck = faults_disarm() > 0;
}

/* Whether the operation must have gone as if there were no fault. */
static bool must_succeed(void)
{
    return !trial.struck || faults_is_harmless(trial.fault);
}

/* Whether no call of the kind that the operation needs can have gone well. */
static bool nothing_went_well(void)
{
    return trial.struck && trial.persistent && trial.nth == 1;
}

/* What is in use: these, which stay through all, and the block that an operation has made or keeps. */

static void *bystanders[6];
static const size_t bystander_sizes[LENGTH(bystanders)] = {1, 24, 100, 4000, 20000, 300000};

static bool holds_pattern(const void *ptr, size_t length, unsigned seed)
{
    const unsigned char *bytes = ptr;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != (unsigned char) (i * 131 + i / 256 + seed)) {
            return false;
        }
    }
    return true;
}

static void fill_pattern(void *ptr, size_t length, unsigned seed)
{
    unsigned char *bytes = ptr;
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (unsigned char) (i * 131 + i / 256 + seed);
    }
}

static void make_bystanders(void)
{
    for (unsigned i = 0; i < LENGTH(bystanders); i++) {
        bystanders[i] = zmalloc(bystander_sizes[i]);
        fill_pattern(bystanders[i], bystander_sizes[i], i);
    }
}

/* Looking at all of them each time would take the time of all else. */
static void check_bystanders(void)
{
    for (unsigned i = 0; i < LENGTH(bystanders); i++) {
        check(holds_pattern(bystanders[i], bystander_sizes[i], i));
    }
}

static void check_account(void *ptr)
{
    size_t in_use = zmalloc_size(ptr);
    for (size_t i = 0; i < LENGTH(bystanders); i++) {
        in_use += zmalloc_size(bystanders[i]);
    }
    check(zmalloc_used_memory() == in_use);
    check(zmalloc_total_allocated() - zmalloc_total_freed() == in_use);
    check(zmalloc_peak_memory() >= in_use);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    check(folder != NULL);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static struct {
    int calls;
    size_t size;
} oom;

static void note_oom(size_t size)
{
    oom.calls++;
    oom.size = size;
}

static void check_handler(bool called, size_t size)
{
    check(oom.calls == called);
    check(!called || oom.size == size);
    oom.calls = 0;
}

/* Operations that allocate. */

static size_t size_asked;
static const struct way *way;

static void allocate(void)
{
    size_t usable = 1;
    arm();
    unsigned char *ptr = way->get(size_asked, &usable);
    calm();
    check(ptr != NULL || !must_succeed());
    check(ptr == NULL || !faults_is_of_allocator(trial.fault) || !nothing_went_well());
    check_handler(ptr == NULL && way->calls_handler, size_asked);
    check(usable == zmalloc_usable_size(ptr) && (ptr == NULL || usable >= size_asked));
    check_account(ptr);
    for (size_t i = 0; ptr != NULL && way->zeroed && i < size_asked; i++) {
        check(ptr[i] == 0);
    }
    if (ptr != NULL) {
        memset(ptr, 0xa5, usable);
    }
    zfree(ptr);
}

static const struct resize *resize;
static size_t old_size;
static size_t old_alignment;
static void *old_block;

static void make_old(void)
{
    old_block = old_alignment > 0 ? zaligned_alloc(old_alignment, old_size) : zmalloc(old_size);
    fill_pattern(old_block, zmalloc_usable_size(old_block), 77);
}

static void resize_old(void)
{
    size_t old_usable = zmalloc_usable_size(old_block);
    size_t usable = 1;
    arm();
    void *moved = resize->to(old_block, size_asked, &usable);
    calm();
    check(moved != NULL || !must_succeed());
    check(moved == NULL || !faults_is_of_allocator(trial.fault) || !nothing_went_well());
    check_handler(moved == NULL && resize->calls_handler, size_asked);
    check(usable == zmalloc_usable_size(moved));
    void *kept = moved != NULL ? moved : old_block;
    check(moved != NULL || zmalloc_usable_size(old_block) == old_usable);
    check(holds_pattern(kept, moved == NULL || size_asked > old_usable ? old_usable : size_asked, 77));
    check_account(kept);
    zfree(kept);
}

static void free_by_resize(void)
{
    size_t usable = 1;
    arm();
    void *moved = resize->to(old_block, 0, &usable);
    calm();
    check(moved == NULL && usable == 0);
    check_handler(false, 0);
}

static void overflow(void)
{
    static volatile const size_t half = SIZE_MAX / 2 + 2;
    arm();
    void *ptr = zcalloc_num(half, 2);
    calm();
    check(ptr == NULL);
    check_handler(true, SIZE_MAX);
}

static void duplicate(void)
{
    static const char text[] = "a string of some length, so that it takes more than the smallest block there is";
    arm();
    char *copy = zstrdup(text);
    calm();
    check(copy != NULL || !must_succeed());
    check_handler(copy == NULL, sizeof(text));
    check(copy == NULL || strcmp(copy, text) == 0);
    check_account(copy);
    zfree(copy);
}

static void duplicate_nothing(void)
{
    arm();
    char *copy = zstrdup(NULL);
    calm();
    check(copy == NULL);
    check_handler(false, 0);
}

/* As a Lua state does: larger, smaller, and away. */
static void serve_lua(void)
{
    size_t used = 0;
    arm();
    void *ptr = zmalloc_lua_alloc(&used, NULL, 5, 100);
    bool had_none = ptr == NULL;
    size_t size = had_none ? 0 : 100;
    void *larger = zmalloc_lua_alloc(&used, ptr, size, 50000);
    ptr = larger != NULL ? larger : ptr;
    size = larger != NULL ? 50000 : size;
    void *smaller = ptr != NULL ? zmalloc_lua_alloc(&used, ptr, size, 50) : NULL;
    calm();
    check((!had_none && larger != NULL) || !must_succeed());
    check(ptr == NULL || smaller != NULL);
    ptr = smaller;
    check(used == zmalloc_size(ptr));
    check_account(ptr);
    arm();
    check(zmalloc_lua_alloc(&used, ptr, 50, 0) == NULL);
    trial.struck |= faults_disarm() > 0;
    check(used == 0);
    check_handler(false, 0);
}

/* Operations that free, or ask about a block. */

static void zfree_usable_of_old(void *ptr)
{
    size_t before = zmalloc_usable_size(ptr);
    size_t usable = 0;
    zfree_usable(ptr, &usable);
    check(usable == before);
}

static void zfree_with_size_of_old(void *ptr)
{
    zfree_with_size(ptr, zmalloc_usable_size(ptr));
}

static void (*release)(void *ptr);

static void release_old(void)
{
    arm();
    release(old_block);
    calm();
}

static void release_of_libc(void)
{
    void *block = malloc(100);
    arm();
    zlibc_free(block);
    calm();
}

static void measure_old(void)
{
    size_t usable = zmalloc_usable_size(old_block);
    arm();
    size_t size_again = zmalloc_size(old_block);
    size_t usable_again = zmalloc_usable_size(old_block);
    size_t good = zmalloc_good_size(old_size);
    void *extended = extend_to_usable(old_block, usable);
    size_t used = zmalloc_used_memory();
    size_t net = zmalloc_total_allocated() - zmalloc_total_freed();
    size_t peak = zmalloc_peak_memory();
    zmalloc_reset_peak_memory();
    calm();
    check(size_again >= usable && usable_again == usable && good >= old_size && extended == old_block);
    check(used == net && peak >= used);
    check_account(old_block);
    zfree(old_block);
}

static void discard_old(void)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    size_t usable = zmalloc_usable_size(old_block);
    arm();
    zmadvise_dontneed(old_block);
    calm();
    check(zmalloc_usable_size(old_block) == usable);
    const unsigned char *bytes = old_block;
    check(bytes[4 * page] == 0 || !must_succeed());
    check(bytes[4 * page] == 0 || holds_pattern(old_block, usable, 77));
    check_account(old_block);
    zfree(old_block);
}

/* What a thread did is known to it if the allocator's counters can be had. */
static void ask_for_own_totals(void)
{
    void *ptr = zmalloc(1000);
    size_t allocated = zmalloc_thread_allocated();
    size_t freed = zmalloc_thread_freed();
    arm();
    size_t allocated_again = zmalloc_thread_allocated();
    size_t freed_again = zmalloc_thread_freed();
    calm();
    check(allocated_again == allocated || (allocated_again == 0 && !must_succeed()));
    check(freed_again == freed || (freed_again == 0 && !must_succeed()));
    check_account(ptr);
    zfree(ptr);
}

/* Questions to the system. */

static pid_t other; /* another process, which stands still */

static bool near(size_t a, size_t b)
{
    enum { SLACK = 512 << 10 };
    return a + SLACK >= b && b + SLACK >= a;
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
    size_t expected_count;
    size_t count = 1;
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
    trial.struck |= faults_disarm() > 0;
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
    struct zmalloc_memory_limits expected;
    struct zmalloc_memory_limits limits;
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
    struct zmalloc_memory_limits limits;
    size_t expected;
    size_t bytes = 1;
    check(zmalloc_memory_limits(&limits) == 0 && zmalloc_memory_limit(&expected) == 0);
    arm();
    int status = zmalloc_memory_limit(&bytes);
    calm();
    check(status == 0 ? bytes >= expected : bytes == 0);
    check((status == 0 && bytes == expected) || !must_succeed());
    /* The same fault again: the least of what is known then, and an error only if nothing is. */
    arm();
    zmalloc_memory_limits(&limits);
    trial.struck |= faults_disarm() > 0;
    size_t known = limits.address_space < limits.data ? limits.address_space : limits.data;
    known = limits.cgroup < known ? limits.cgroup : known;
    known = limits.physical < known ? limits.physical : known;
    check((status == 0) == (known < ZMALLOC_NO_LIMIT || limits.physical != ZMALLOC_UNKNOWN));
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

/* Questions to the allocator. */

/* One that the allocator can't answer at all has that error whatever else fails. */
static bool is_unsupported(int status)
{
    return status == -ENOTSUP;
}

static void check_allocator_status(int status)
{
    check(status <= 0 && status > -4096);
    check(status == 0 || is_unsupported(status) || !must_succeed());
}

static void ask_name(void)
{
    arm();
    const char *name = zmalloc_allocator();
    calm();
    check(name != NULL && *name != '\0');
}

static void ask_info(void)
{
    size_t expected[3];
    size_t figures[3] = {1, 1, 1};
    size_t old[3] = {1, 1, 1};
    int usual = zmalloc_allocator_info(&expected[0], &expected[1], &expected[2]);
    check(usual == 0 || is_unsupported(usual));
    arm();
    int status = zmalloc_allocator_info(&figures[0], &figures[1], &figures[2]);
    calm();
    check_allocator_status(status);
    arm();
    check(zmalloc_get_allocator_info(&old[0], &old[1], &old[2]) == 1);
    trial.struck |= faults_disarm() > 0;
    for (int i = 0; i < 3; i++) {
        bool is_known = figures[i] != ZMALLOC_UNKNOWN;
        check(is_known ? near(figures[i], expected[i]) : !must_succeed() || expected[i] == ZMALLOC_UNKNOWN);
        check(old[i] == 0 || near(old[i], expected[i]));
    }
}

static void run_background_thread(void)
{
    int wanted = 7;
    arm();
    int status = zmalloc_background_thread(1);
    calm();
    check_allocator_status(status);
    int asked = zmalloc_background_thread_enabled(&wanted);
    check(is_unsupported(status) ? is_unsupported(asked) && wanted == 0 : asked == 0 && wanted == (status == 0));
    arm();
    set_jemalloc_bg_thread(0);
    trial.struck |= faults_disarm() > 0;
    set_jemalloc_bg_thread(0);
    asked = zmalloc_background_thread_enabled(&wanted);
    check((asked == 0 || is_unsupported(asked)) && wanted == 0);
}

static void ask_for_background_thread(void)
{
    int wanted = 7;
    arm();
    int status = zmalloc_background_thread_enabled(&wanted);
    calm();
    check_allocator_status(status);
    check(wanted == 0);
}

static void ask_decay(void)
{
    long expected[2];
    long times[2] = {7, 7};
    int can = zmalloc_decay(&expected[0], &expected[1]);
    arm();
    int status = zmalloc_decay(&times[0], &times[1]);
    calm();
    check_allocator_status(status);
    check(status == 0 ? can == 0 && times[0] == expected[0] && times[1] == expected[1]
                      : times[0] == -1 || times[0] == expected[0]);
}

/* Both or none, where the way back is not barred too. */
static void set_decay(void)
{
    long before[2];
    long after[2];
    int can = zmalloc_decay(&before[0], &before[1]);
    arm();
    int status = zmalloc_set_decay(before[0] + 1, before[1] + 2);
    calm();
    check_allocator_status(status);
    check(can != 0 || zmalloc_decay(&after[0], &after[1]) == 0);
    if (can == 0 && status == 0) {
        check(after[0] == before[0] + 1 && after[1] == before[1] + 2);
    } else if (can == 0 && !trial.persistent) {
        check(after[0] == before[0] && after[1] == before[1]);
    }
    check(can != 0 || zmalloc_set_decay(before[0], before[1]) == 0);
}

static void purge(void)
{
    size_t returned = 1;
    arm();
    int status = zmalloc_purge(&returned);
    calm();
    check_allocator_status(status);
    check(returned != ZMALLOC_UNKNOWN || !must_succeed());
    arm();
    status = jemalloc_purge();
    trial.struck |= faults_disarm() > 0;
    check(status == 0 || (status == -1 && (!must_succeed() || is_unsupported(zmalloc_purge(NULL)))));
}

static int64_t known(int64_t difference)
{
    return difference != ZMALLOC_UNKNOWN_DIFFERENCE ? difference : 0;
}

static void report_with(int walk)
{
    struct zmalloc_report expected;
    struct zmalloc_report report;
    check(zmalloc_report(&expected, walk) == 0);
    arm();
    int status = zmalloc_report(&report, walk);
    calm();
    check(status == 0 && report.used == zmalloc_used_memory());
    int64_t sum = (int64_t) report.used + known(report.allocator_overhead_bytes) +
                  known(report.allocator_frag_bytes) + known(report.allocator_rss_bytes) +
                  known(report.rss_overhead_bytes);
    check(report.rss == ZMALLOC_UNKNOWN || sum == (int64_t) report.rss);
    check(report.rss == ZMALLOC_UNKNOWN ? !must_succeed() : near(report.rss, expected.rss));
    check(report.pss == ZMALLOC_UNKNOWN ? !walk || !must_succeed() : report.pss <= report.rss);
    check(report.uss == ZMALLOC_UNKNOWN ? !walk || !must_succeed() : report.uss <= report.rss);
}

static void report(void)
{
    report_with(0);
}

static void report_with_walk(void)
{
    report_with(1);
}

static void set_handler(void)
{
    arm();
    zmalloc_set_oom_handler(note_oom);
    calm();
}

static int refuse(size_t size, void *context)
{
    unsigned *refusals = context;
    (*refusals)++;
    note_oom(size);
    return 0;
}

/* If it can't be set, the other one stays. */
static void set_answering_handler(void)
{
    static volatile size_t too_much = SIZE_MAX; /* not a constant to the compiler, which would warn */
    static unsigned refusals;
    arm();
    int status = zmalloc_set_oom_retry_handler(refuse, &refusals);
    calm();
    check(status == 0 || (status == -ENOMEM && !must_succeed()));
    refusals = 0;
    check(zmalloc(too_much) == NULL && oom.calls == 1);
    check(refusals == (status == 0));
    oom.calls = 0;
    zmalloc_set_oom_handler(note_oom);
}

/* One that is never in the way. */
static void set_limit(void)
{
    arm();
    int status = zmalloc_set_limit(PTRDIFF_MAX);
    calm();
    check(status == 0 || (status == -ENOMEM && !must_succeed()));
    check(zmalloc_limit() == (status == 0 ? PTRDIFF_MAX : 0));
    check(zmalloc_set_limit(0) == 0);
}

static void ignore(size_t used, void *context)
{
    (void) used;
    (void) context;
}

static void set_soft_limit(void)
{
    arm();
    int status = zmalloc_set_soft_limit(PTRDIFF_MAX, 0, ignore, NULL);
    calm();
    check(status == 0 || (status == -ENOMEM && !must_succeed()));
    check(zmalloc_soft_limit() == (status == 0 ? PTRDIFF_MAX : 0));
    check(zmalloc_set_soft_limit(0, 0, NULL, NULL) == 0);
}

/* The loops. */

/* How often each fault was met, in all processes. */
static unsigned long *met;

enum { MOST_CALLS = 100000 };

/* Has it meet the fault at each of the calls that it makes. */
static void fail_by(int fault, int persistent, void (*once)(void))
{
    trial.fault = fault;
    trial.persistent = persistent;
    trial.struck = true;
    for (trial.nth = 1; trial.struck; trial.nth++) {
        check(trial.nth < MOST_CALLS);
        once();
        met[fault] += trial.struck;
    }
}

static void name_trial(const char *call, const char *where)
{
    trial.call = call;
    trial.where = where;
}

/* Each fault alone, and with all that come after it. */
static void fail_in_turn(void (*once)(void))
{
    for (int fault = 0; fault < faults_count(); fault++) {
        for (int persistent = faults_is_lasting(fault); persistent < 2; persistent++) {
            fail_by(fault, persistent, once);
        }
    }
}

struct operation {
    const char *call;
    void (*run)(void);
    void (*prepare)(void); /* or NULL */
};

static const struct operation *operation;
static int descriptors;

/* Whatever it met, nothing is lost when it is over, and the library works. */
static void check_after(long blocks_before)
{
    check_account(NULL);
    check(faults_blocks() == blocks_before);
    check(open_descriptors() == descriptors);
    check(oom.calls == 0);
    void *ptr = zmalloc(10);
    check(ptr != NULL);
    check_account(ptr);
    zfree(ptr);
}

static void operate(void)
{
    long blocks = faults_blocks();
    if (operation->prepare != NULL) {
        operation->prepare();
    }
    operation->run();
    check_after(blocks);
}

static void *run_operation(void *unused)
{
    (void) unused;
    faults_prepare_thread(trial.fault);
    operation->run();
    return NULL;
}

/* In a thread that has yet to be counted, and is gone afterwards. */
static void operate_in_thread(void)
{
    pthread_t thread;
    long blocks = faults_blocks();
    if (operation->prepare != NULL) {
        operation->prepare();
    }
    check(pthread_create(&thread, NULL, run_operation, NULL) == 0);
    pthread_join(thread, NULL);
    check_after(blocks);
}

static void try_everywhere(const struct operation *what)
{
    operation = what;
    name_trial(what->call, "in the first thread");
    fail_in_turn(operate);
    name_trial(what->call, "in a new thread");
    fail_in_turn(operate_in_thread);
    check_bystanders();
}

static const struct operation operations[] = {
    {"zcalloc_num of too much", overflow, NULL},
    {"zstrdup", duplicate, NULL},
    {"zstrdup of NULL", duplicate_nothing, NULL},
    {"zmalloc_lua_alloc", serve_lua, NULL},
    {"zlibc_free", release_of_libc, NULL},
    {"zmalloc_size", measure_old, make_old},
    {"zmalloc_usable_size", measure_old, make_old},
    {"zmalloc_good_size", measure_old, make_old},
    {"extend_to_usable", measure_old, make_old},
    {"zmalloc_used_memory", measure_old, make_old},
    {"zmalloc_total_allocated", measure_old, make_old},
    {"zmalloc_total_freed", measure_old, make_old},
    {"zmalloc_peak_memory", measure_old, make_old},
    {"zmalloc_reset_peak_memory", measure_old, make_old},
    {"zmadvise_dontneed", discard_old, make_old},
    {"zmalloc_thread_allocated", ask_for_own_totals, NULL},
    {"zmalloc_thread_freed", ask_for_own_totals, NULL},
    {"zmalloc_set_oom_handler", set_handler, NULL},
    {"zmalloc_set_oom_retry_handler", set_answering_handler, NULL},
    {"zmalloc_set_limit", set_limit, NULL},
    {"zmalloc_limit", set_limit, NULL},
    {"zmalloc_set_soft_limit", set_soft_limit, NULL},
    {"zmalloc_soft_limit", set_soft_limit, NULL},
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
    {"zmalloc_allocator", ask_name, NULL},
    {"zmalloc_allocator_info", ask_info, NULL},
    {"zmalloc_get_allocator_info", ask_info, NULL},
    {"set_jemalloc_bg_thread", run_background_thread, NULL},
    {"zmalloc_background_thread", run_background_thread, NULL},
    {"zmalloc_background_thread_enabled", ask_for_background_thread, NULL},
    {"zmalloc_decay", ask_decay, NULL},
    {"zmalloc_set_decay", set_decay, NULL},
    {"zmalloc_purge", purge, NULL},
    {"jemalloc_purge", purge, NULL},
    {"zmalloc_report", report, NULL},
    {"zmalloc_report with the walk", report_with_walk, NULL},
};

static const struct {
    const char *call;
    void (*release)(void *ptr);
} releases[] = {
    {"zfree", zfree},
    {"zfree_usable", zfree_usable_of_old},
    {"zfree_with_size", zfree_with_size_of_old},
    {"zfree_no_tcache", zfree_no_tcache},
};

static void try_ways(void)
{
    static const size_t sizes[] = {0, 24, 5000, 300000};
    for (size_t w = 0; w < LENGTH(ways); w++) {
        way = &ways[w];
        for (size_t s = 0; s < LENGTH(sizes); s++) {
            size_asked = sizes[s];
            try_everywhere(&(struct operation){way->name, allocate, NULL});
        }
    }
}

static void try_resizes(void)
{
    static const struct {
        size_t from;
        size_t to;
        size_t alignment;
    } cases[] = {{0, 100, 0}, {24, 5000, 0}, {5000, 24, 0}, {100, 300000, 0}, {300000, 100, 0}, {100, 5000, 256}};
    for (size_t r = 0; r < LENGTH(resizes); r++) {
        resize = &resizes[r];
        for (size_t c = 0; c < LENGTH(cases); c++) {
            old_size = cases[c].from;
            old_alignment = cases[c].alignment;
            size_asked = cases[c].to;
            try_everywhere(&(struct operation){resize->name, resize_old, make_old});
        }
        try_everywhere(&(struct operation){resize->name, free_by_resize, make_old});
    }
}

static void try_releases(void)
{
    for (size_t r = 0; r < LENGTH(releases); r++) {
        release = releases[r].release;
        try_everywhere(&(struct operation){releases[r].call, release_old, make_old});
    }
}

static void try_operations(void)
{
    old_alignment = 0;
    old_size = 300000;
    for (size_t i = 0; i < LENGTH(operations); i++) {
        try_everywhere(&operations[i]);
    }
}

/* What must be true of a child that has been through something. */
static void pass_in_child(void (*body)(void))
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        _exit(0);
    }
    check(waitpid(child, &status, 0) == child);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* More threads at once than there are slots from the start: the next one needs pages for more. */

enum { SLOTS_AT_START = 32 };

static pthread_barrier_t all_there;
static pthread_barrier_t all_may_go;

static void *take_slot(void *unused)
{
    (void) unused;
    zfree(zmalloc(100));
    zfree(zmalloc(100));
    pthread_barrier_wait(&all_there);
    pthread_barrier_wait(&all_may_go);
    return NULL;
}

static void use_in_child(void)
{
    check_account(NULL);
    void *ptr = zmalloc(1000);
    check_account(ptr);
    zfree(ptr);
}

static int find_fault(const char *name)
{
    int fault = 0;
    while (strcmp(faults_name(fault), name) != 0) {
        fault++;
    }
    return fault;
}

/* Live or not, a thread is counted; and a child of it goes on from there. */
static void allocate_and_fork(void)
{
    allocate();
    if (trial.struck) {
        pass_in_child(use_in_child);
    }
}

static void be_one_too_many(void)
{
    pthread_t threads[SLOTS_AT_START - 1]; /* and the first one */
    pthread_barrier_init(&all_there, NULL, SLOTS_AT_START);
    pthread_barrier_init(&all_may_go, NULL, SLOTS_AT_START);
    for (size_t i = 0; i < LENGTH(threads); i++) {
        check(pthread_create(&threads[i], NULL, take_slot, NULL) == 0);
    }
    pthread_barrier_wait(&all_there);
    operation = &(struct operation){way->name, allocate_and_fork, NULL};
    fail_by(trial.fault, trial.persistent, operate_in_thread);
    pthread_barrier_wait(&all_may_go);
    for (size_t i = 0; i < LENGTH(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    check_account(NULL);
}

/* In a child each time: once there are pages for more slots, they stay. */
static void try_without_slots(void)
{
    static const char *const names[] = {"everything", "mmap ENOMEM", "pthread_setspecific ENOMEM"};
    size_asked = 100;
    for (size_t w = 0; w < LENGTH(ways); w++) {
        way = &ways[w];
        name_trial(way->name, "in a thread without a slot");
        for (size_t i = 0; i < LENGTH(names); i++) {
            trial.fault = find_fault(names[i]);
            for (trial.persistent = 0; trial.persistent < 2; trial.persistent++) {
                pass_in_child(be_one_too_many);
            }
        }
    }
}

static int takes_key;
static int maps;

/* It asks for the key twice, at its first block and again at its second: nothing was kept of the first time. */
static void *live_without_key(void *unused)
{
    (void) unused;
    faults_prepare_thread(takes_key);
    faults_arm(takes_key, 1, true);
    zfree(zmalloc(100));
    zfree(zmalloc(100));
    check(faults_disarm() == 2);
    return NULL;
}

static void *live_without_more_slots(void *unused)
{
    (void) unused;
    faults_prepare_thread(maps);
    faults_arm(maps, 1, true);
    zfree(zmalloc(100));
    check(faults_disarm() == 0);
    return NULL;
}

/* A thread that can't be told when it ends gives its slot back: there is still one for who comes later. */
static void lose_no_slot(void)
{
    pthread_t thread;
    takes_key = find_fault("pthread_setspecific ENOMEM");
    maps = find_fault("mmap ENOMEM");
    for (int i = 0; i <= SLOTS_AT_START; i++) {
        bool is_last = i == SLOTS_AT_START;
        check(pthread_create(&thread, NULL, is_last ? live_without_more_slots : live_without_key, NULL) == 0);
        pthread_join(thread, NULL);
    }
    check_account(NULL);
}

static void try_to_lose_slots(void)
{
    name_trial("zmalloc", "in threads that can't be told when they end");
    pass_in_child(lose_no_slot);
}

/* What is done only the first time that a program asks for it: in a child each, before anything else has asked. */

static void do_first(void)
{
    descriptors = open_descriptors();
    fail_by(trial.fault, trial.persistent, operate);
    check(trial.nth > 2); /* it was met */
}

static void try_first_times(void)
{
    static const struct {
        struct operation operation;
        const char *fault;
    } firsts[] = {
        {{"zmalloc_set_limit", set_limit, NULL}, "pthread_atfork ENOMEM"},
        {{"zmalloc_set_soft_limit", set_soft_limit, NULL}, "pthread_atfork ENOMEM"},
        {{"zmalloc_set_soft_limit", set_soft_limit, NULL}, "mmap ENOMEM"},
        {{"zmalloc_set_oom_retry_handler", set_answering_handler, NULL}, "mmap ENOMEM"},
    };
    for (size_t i = 0; i < LENGTH(firsts); i++) {
        operation = &firsts[i].operation;
        name_trial(operation->call, "for the first time");
        trial.fault = find_fault(firsts[i].fault);
        for (trial.persistent = 0; trial.persistent < 2; trial.persistent++) {
            pass_in_child(do_first);
        }
    }
}

/* Before main: the program runs itself again, with the fault in its environment. */

enum { WENT_WELL = 3, WENT_WELL_AND_MET_IT = 4, A_MINUTE = 60 };

static const char *own_path;
static const char *headers;

static void use_everything(void)
{
    for (size_t w = 0; w < LENGTH(ways); w++) {
        way = &ways[w];
        allocate();
    }
    old_alignment = 0;
    old_size = 100;
    for (size_t r = 0; r < LENGTH(resizes); r++) {
        resize = &resizes[r];
        make_old();
        resize_old();
    }
}

static void *use_everything_in_thread(void *unused)
{
    (void) unused;
    use_everything();
    return NULL;
}

/* The process that was started so: it lacks what could not be had, and its account is exact all the same. */
static int live_with_it(bool struck)
{
    pthread_t thread;
    name_trial("start", getenv("ZMALLOC_FAULT"));
    trial.fault = 0;
    trial.nth = UINT_MAX; /* nothing more */
    size_asked = 500;
    alarm(A_MINUTE); /* it must not hang either */
    check(zmalloc_used_memory() == 0);
    make_bystanders();
    use_everything();
    check(pthread_create(&thread, NULL, use_everything_in_thread, NULL) == 0);
    pthread_join(thread, NULL);
    check_account(NULL);
    pass_in_child(use_in_child);
    check_bystanders();
    return struck ? WENT_WELL_AND_MET_IT : WENT_WELL;
}

static void start_again(void)
{
    char text[64];
    int status;
    snprintf(text, sizeof(text), "%d %u %d", trial.fault, trial.nth, trial.persistent);
    fflush(NULL);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("ZMALLOC_FAULT", text, 1);
        execl(own_path, own_path, headers, (char *) NULL);
        _exit(1);
    }
    check(waitpid(child, &status, 0) == child && WIFEXITED(status));
    check(WEXITSTATUS(status) == WENT_WELL || WEXITSTATUS(status) == WENT_WELL_AND_MET_IT);
    trial.struck = WEXITSTATUS(status) == WENT_WELL_AND_MET_IT;
}

/* The tables above must have all that the headers declare. */

static bool begins_with(const char *name, const char *call, size_t length)
{
    return strncmp(name, call, length) == 0 && (name[length] == '\0' || name[length] == ' ');
}

static bool is_tried(const char *call, size_t length)
{
    bool found = false;
    for (size_t i = 0; i < LENGTH(ways); i++) {
        found |= begins_with(ways[i].name, call, length);
    }
    for (size_t i = 0; i < LENGTH(releases); i++) {
        found |= begins_with(releases[i].call, call, length);
    }
    for (size_t i = 0; i < LENGTH(operations); i++) {
        found |= begins_with(operations[i].call, call, length);
    }
    return found;
}

static int untried_in(const char *file)
{
    char path[4096];
    char line[256];
    int declared = 0;
    int untried = 0;
    snprintf(path, sizeof(path), "%s/%s", headers, file);
    FILE *header = fopen(path, "r");
    while (header != NULL && fgets(line, sizeof(line), header) != NULL) {
        const char *bracket = strchr(line, '(');
        if (strncmp(line, "ZMALLOC_API ", strlen("ZMALLOC_API ")) != 0 || bracket == NULL) {
            continue;
        }
        const char *call = bracket;
        while (call[-1] != ' ' && call[-1] != '*') {
            call--;
        }
        declared++;
        if (!is_tried(call, (size_t) (bracket - call))) {
            fprintf(stderr, "no fault is tried in %.*s\n", (int) (bracket - call), call);
            untried++;
        }
    }
    if (header == NULL || declared == 0) {
        fprintf(stderr, "no declarations in %s\n", path);
        untried++;
    }
    if (header != NULL) {
        fclose(header);
    }
    return untried;
}

static void tell_figures(void)
{
    unsigned long sum = 0;
    for (int i = 0; i < faults_count(); i++) {
        printf("figure: %lu faults injected: %s\n", met[i], faults_name(i));
        sum += met[i];
    }
    printf("figure: %lu faults injected\n", sum);
}

static int complain_of_faults_never_met(void)
{
    int never = 0;
    for (int i = 0; i < faults_count(); i++) {
        if (met[i] == 0) {
            fprintf(stderr, "'%s' was never met\n", faults_name(i));
            never++;
        }
    }
    return never;
}

static void start_other(void)
{
    other = fork();
    if (other == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            pause();
        }
    }
}

/* Once without a fault: whatever sets itself up does so now. */
static void warm_up(void)
{
    trial.nth = UINT_MAX;
    name_trial("warming up", "");
    old_size = 300000;
    for (size_t i = 0; i < LENGTH(operations); i++) {
        if (operations[i].prepare != NULL) {
            operations[i].prepare();
        }
        operations[i].run();
    }
}

int main(int argc, char **argv)
{
    bool struck = faults_disarm() > 0;
    if (is_emulated()) {
        puts("skipped: under emulation not all calls work even without a fault");
        return 77; /* to Meson */
    }
    own_path = "/proc/self/exe";
    headers = argc > 1 ? argv[1] : "include";
    zmalloc_set_oom_handler(note_oom);
    if (getenv("ZMALLOC_FAULT") != NULL) {
        return live_with_it(struck);
    }
    int untried = untried_in("zmalloc.h") + untried_in("zmalloc_lua.h");

    size_t size = (size_t) faults_count() * sizeof(met[0]);
    met = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    make_bystanders();
    start_other();
    try_first_times();
    warm_up();
    descriptors = open_descriptors();

    name_trial("start", "");
    fail_in_turn(start_again);
    try_ways();
    try_resizes();
    try_releases();
    try_operations();
    try_without_slots();
    try_to_lose_slots();

    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    tell_figures();
    return complain_of_faults_never_met() + untried != 0;
}
