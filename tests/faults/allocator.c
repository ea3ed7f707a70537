/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults in questions to the allocator, in its settings and in the report. */
#include "operations.h"

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
    calm_again();
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
    calm_again();
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
    calm_again();
    check(status == 0 || (status == -1 && (!must_succeed() || is_unsupported(zmalloc_purge(NULL)))));
}

static void ask_for_hint(void)
{
    void *block = zmalloc(100);
    int usually = 7;
    int helps = 7;
    int usual = zmalloc_defrag_hint(block, &usually);
    check(usual == 0 || is_unsupported(usual));
    arm();
    int status = zmalloc_defrag_hint(block, &helps);
    calm();
    check(status == usual || (status < 0 && !must_succeed()));
    check(helps == (status == 0 ? usually : 0));
    zfree(block);
}

enum { THINNED = 2000 };
static void *thinned[THINNED];

/* Three of four are freed, past the cache. */
static void thin_out(void)
{
    for (size_t i = 0; i < THINNED; i++) {
        thinned[i] = zmalloc(100);
        fill(thinned[i], 0, 100, (unsigned) i);
    }
    for (size_t i = 0; i < THINNED; i++) {
        if (i % 4 != 0) {
            zfree_no_tcache(thinned[i]);
            thinned[i] = NULL;
        }
    }
}

/* Whatever fails, each block is whole, and where the array says. */
static void defrag(void)
{
    thin_out();
    size_t used = zmalloc_used_memory();
    struct zmalloc_defrag done = {.size = sizeof(done)};
    arm();
    int status = zmalloc_defrag(thinned, THINNED, 0, 0, &done);
    calm();
    check_allocator_status(status);
    check(status != 0 || done.position == THINNED);
    check(done.moved + done.refused <= done.asked && done.asked <= THINNED / 4);
    check(done.refused == 0 || !must_succeed());
    check(zmalloc_used_memory() == used);
    for (size_t i = 0; i < THINNED; i++) {
        check(thinned[i] == NULL || filled(thinned[i], 100, (unsigned) i));
        zfree(thinned[i]);
    }
}

static void ask_for_hints(void)
{
    int hints[] = {7, 7};
    void *both[] = {zmalloc(100), NULL};
    arm();
    int status = zmalloc_defrag_hints(both, 2, hints);
    calm();
    check_allocator_status(status);
    check(status == 0 ? (hints[0] | 1) == 1 : hints[0] == 0);
    check(hints[1] == 0);
    zfree(both[0]);
}

static int64_t known(int64_t difference)
{
    return difference != ZMALLOC_UNKNOWN_DIFFERENCE ? difference : 0;
}

static void report_with(int walk)
{
    struct zmalloc_report expected = {.size = sizeof(expected)};
    struct zmalloc_report report = {.size = sizeof(report)};
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

static const struct operation all[] = {
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
    {"zmalloc_defrag_hint", ask_for_hint, NULL},
    {"zmalloc_defrag_hints", ask_for_hints, NULL},
    {"zmalloc_defrag", defrag, NULL},
    {"zmalloc_report", report, NULL},
    {"zmalloc_report with the walk", report_with_walk, NULL},
};

const struct operations allocator_operations = {all, LENGTH(all)};
