/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The only living thread reads, one instruction at a time, and at each of them a signal handler does something that
 * changes the figure, or has another thread do it. Whenever it comes, the reading is of a state that there was. And
 * the first call of a thread, which frees, is interrupted so by one that makes the thread live.
 */
#include "threads.h"

#if !defined(__x86_64__)
int main(void)
{
    puts("skipped: single steps are for x86-64");
    return SKIPPED;
}
#else

#include "single_steps.h"

#include <sys/wait.h>

enum { LARGE = 5000, SMALL = 3000, OF_A_THREAD = 200, SECONDS_TO_HANG = 100, MOST_STEPS = 100000 };

static struct own_code code;

/* What the handler does at the instruction with that number. */
static void (*act)(void);
static long wanted;
static volatile long steps;
static bool acted;

static size_t used;
static void *held;
static void *made;
static pid_t child;

static void handle_step(int signal, siginfo_t *info, void *context)
{
    (void) signal;
    (void) info;
    if (is_in_own_code(context, code) && ++steps == wanted && !acted) {
        acted = true;
        act();
    }
}

static size_t read_in_steps(void)
{
    steps = 0;
    acted = false;
    step(true);
    size_t reading = zmalloc_used_memory();
    step(false);
    return reading;
}

static void *free_only(void *block)
{
    zfree(block);
    return NULL;
}

static void *live_and_free(void *block)
{
    zfree(zmalloc(OF_A_THREAD / 2));
    zfree(block);
    return NULL;
}

/* There is never more than one of the two blocks. */
static void have_blocks_freed_by_others(void)
{
    for (int i = 0; i < 2; i++) {
        join(start(free_only, zmalloc(SMALL)));
    }
}

static void have_blocks_freed_by_living_threads(void)
{
    for (int i = 0; i < 2; i++) {
        join(start(live_and_free, zmalloc(SMALL)));
    }
}

/* There is never more than there was before. */
static void free_and_allocate(void)
{
    zfree(held);
    held = NULL;
    made = zmalloc(SMALL);
}

static void begin_and_stay(void)
{
    made = zmalloc(SMALL);
}

static void fork_here(void)
{
    child = fork();
    check(child >= 0);
    if (child == 0) {
        alarm(SECONDS_TO_HANG);
    }
}

static void live_in_child(size_t reading)
{
    check(reading == used);
    check_used(used);
    join(start(live_and_free, zmalloc(SMALL)));
    check_used(used);
    zfree(held);
    check(zmalloc_used_memory() < used);
    _exit(0);
}

static void wait_for_child(void)
{
    int status;
    check(waitpid(child, &status, 0) == child);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

struct scenario {
    const char *name;
    void (*act)(void);
    size_t more; /* than before there are at most */
    size_t less;
};
static const struct scenario scenarios[] = {
    {"others free", have_blocks_freed_by_others, 2 * SMALL - 1, 0},
    {"threads come", have_blocks_freed_by_living_threads, 2 * SMALL - 1, 0},
    {"the handler frees", free_and_allocate, 0, 2 * LARGE},
    {"the handler allocates", begin_and_stay, 2 * SMALL - 1, 0},
    {"the handler forks", fork_here, 0, 0},
};

static void prepare(void)
{
    held = zmalloc(LARGE);
    used = zmalloc_used_memory();
    check_used(used); /* and now it is noted that no other thread is living */
}

static void read_once(const struct scenario *scenario)
{
    prepare();
    act = scenario->act;
    size_t reading = read_in_steps();
    if (acted && scenario->act == fork_here) {
        child == 0 ? live_in_child(reading) : wait_for_child();
    }
    if (reading > used + scenario->more || reading + scenario->less < used) {
        fprintf(stderr, "%s at instruction %ld: a reading of %+lld bytes\n", scenario->name, wanted,
                (long long) (reading - used));
        _exit(1);
    }
    zfree(held);
    zfree(made);
    made = NULL;
}

static long read_at_each(const struct scenario *scenario)
{
    long count = 0;
    for (wanted = 0; wanted <= count; wanted++) {
        read_once(scenario);
        count = wanted == 0 ? steps : count;
        check(wanted == 0 || acted || wanted > count - 10); /* one more or less, as a jump has it */
    }
    return count;
}

/* Makes its thread live, and has what is counted apart noted by a reading. */
static void allocate_and_read(void)
{
    made = zmalloc(SMALL);
    check(zmalloc_used_memory() > 0);
}

static void *free_in_steps(void *block)
{
    steps = 0;
    acted = false;
    step(true);
    zfree(block);
    step(false);
    if (acted) {
        check_used(used + zmalloc_size(made));
        check_used(used + zmalloc_size(made));
    }
    return NULL;
}

static long free_at_each(void)
{
    long count = 0;
    long distance = 1; /* a hardened one looks at each byte of the block's redzones */
    act = allocate_and_read;
    for (wanted = 0; wanted <= count; wanted += distance) {
        used = zmalloc_used_memory();
        join(start(free_in_steps, zmalloc(LARGE)));
        count = wanted == 0 ? steps : count;
        distance = 1 + count * count / MOST_STEPS;
        zfree(made);
        made = NULL;
        check_used(used);
    }
    return count / distance;
}

int main(void)
{
    if (THREAD_SANITIZER || ADDRESS_SANITIZER || is_emulated()) {
        puts("skipped: under a sanitizer or emulation there are no single steps");
        return SKIPPED;
    }
    code = find_own_code();
    if (code.begin == 0) {
        puts("skipped: the library is not shared, or has no symbols");
        return SKIPPED;
    }
    struct sigaction stepping = {.sa_sigaction = handle_step, .sa_flags = SA_SIGINFO};
    check(sigaction(SIGTRAP, &stepping, NULL) == 0);
    long count = 0;
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        count += read_at_each(&scenarios[i]);
    }
    count += free_at_each();
    check(count > 100);
    printf("figure: %ld interruptions of a reading or a free\n", count);
    return 0;
}

#endif
