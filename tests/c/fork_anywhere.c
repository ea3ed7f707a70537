/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread is run one instruction at a time through calls of each kind, its registration and its end. At instructions
 * of the library a signal handler forks, and the child goes on with the interrupted call: it is exact, at once and
 * after new threads have had the memory of those that are not in it. And at each instruction a handler reads.
 * It forks at some of the instructions, others each time; with a number as argument, at that many times as many.
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

enum { HOLDERS = 4, NEW_THREADS = 6, SOME = 8, SECONDS_TO_HANG = 100, ROOM = 1 << 30 };

static struct own_code code;
static size_t held_by_others;
static pthread_key_t end_key;

/* What is stepped through; what it leaves behind stays in `left`. */
struct mode {
    const char *name;
    void (*prepare)(void);
    void (*run)(void);
    bool to_end; /* of the thread */
};
static const struct mode *mode;
static void *left;

/* What the handler does, and where: at the instruction with that number, or at each. */
enum action { COUNT, READ, FORK };
static enum action action;
static long wanted;
static volatile long steps;
static volatile bool is_child;
static bool was_there;
static bool handlers_act;

/* A hardened heap's own code can't be forked in by handlers that use it: docs/limits.rst says so. */
#ifdef ZMALLOC_TESTS_HARDENED
enum { HANDLERS_MAY_ACT = false };
#else
enum { HANDLERS_MAY_ACT = true };
#endif

static void read_all(void)
{
    size_t used = zmalloc_used_memory();
    check(used >= held_by_others && used <= held_by_others + 400000);
    check(zmalloc_total_allocated() > zmalloc_total_freed());
}

static void act_in_handler(void)
{
    if (handlers_act) {
        void *blocks[20];
        for (size_t i = 0; i < 20; i++) {
            blocks[i] = ztrymalloc(1 + i * 700);
        }
        read_all();
        for (size_t i = 0; i < 20; i++) {
            zfree(blocks[i]);
        }
    }
}

static void fork_here(ucontext_t *context)
{
    was_there = true;
    pid_t child = fork();
    check(child >= 0);
    stop_steps(context);
    if (child == 0) {
        alarm(SECONDS_TO_HANG);
        is_child = true;
        return;
    }
    int status;
    check(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "a child ended with status %#x: forked at instruction %ld of %s%s\n", (unsigned) status,
                wanted, mode->name, handlers_act ? ", with fork handlers that allocate" : "");
        _exit(1);
    }
}

static void handle_step(int signal, siginfo_t *info, void *context)
{
    (void) signal;
    (void) info;
    if (!is_in_own_code(context, code)) {
        return;
    }
    steps++;
    if (action == READ) {
        read_all();
    } else if (action == FORK && steps == wanted && !is_child) {
        fork_here(context);
    }
}

static void *live_shortly(void *argument)
{
    void *block = ztrymalloc(1000 + (size_t) (uintptr_t) argument);
    for (size_t i = 0; i < 20; i++) {
        zfree(ztrymalloc(64 * i));
    }
    zfree(block);
    return argument;
}

static void check_child(void)
{
    size_t used = held_by_others + zmalloc_size(left);
    check_used(used);
    for (int round = 0; round < 2; round++) {
        pthread_t threads[NEW_THREADS];
        for (uintptr_t i = 0; i < NEW_THREADS; i++) {
            threads[i] = start(live_shortly, (void *) i);
        }
        for (size_t i = 0; i < NEW_THREADS; i++) {
            join(threads[i]);
        }
        check_used(used);
    }
    void *block = zmalloc(500);
    check_used(used + zmalloc_size(block));
    check(zmalloc_set_limit(used + 5000000) == 0);
    check(ztrymalloc(4000000) != NULL && ztrymalloc(2000000) == NULL);
    _exit(0);
}

static void stop_at_end(void *value)
{
    (void) value;
    step(false);
    if (is_child) {
        check_child();
    }
}

static void *run_mode(void *argument)
{
    mode->prepare();
    if (mode->to_end) {
        check(pthread_setspecific(end_key, &end_key) == 0);
    }
    step(true);
    mode->run();
    if (!mode->to_end) {
        step(false);
        if (is_child) {
            check_child();
        }
    }
    return argument;
}

/* How many instructions of the library there were. */
static long run(enum action what, long where)
{
    action = what;
    wanted = where;
    steps = 0;
    left = NULL;
    was_there = false;
    join(start(run_mode, NULL));
    zfree(left);
    check_used(held_by_others);
    return steps;
}

static void nothing(void)
{
}

static void keep_a_block(void)
{
    left = zmalloc(200);
    zfree(zmalloc(10));
}

static void keep_a_block_within_limit(void)
{
    check(zmalloc_set_limit(ROOM) == 0);
    keep_a_block();
}

static void register_thread(void)
{
    left = zmalloc(200);
}

/* Each size has a way of its own to the limits. What is cleared or copied is little, as it takes a step a byte. */
static void allocate_and_free(void)
{
    void *block = zmalloc(1000);
    block = zrealloc(block, 9000);
    zfree(block);
    zfree(zmalloc(70000));
    zfree(zcalloc(9000));
    zfree(zaligned_alloc(256, 100));
}

static void read_figures(void)
{
    (void) (zmalloc_used_memory() + zmalloc_peak_memory() + zmalloc_total_freed() + zmalloc_thread_allocated());
}

static void set_limits(void)
{
    zmalloc_set_limit(ROOM);
    zmalloc_set_limit(0);
}

static const struct mode modes[] = {
    {"a registration", nothing, register_thread, false},
    {"the end of a thread", keep_a_block, nothing, true},
    {"allocations", keep_a_block, allocate_and_free, false},
    {"allocations within a limit", keep_a_block_within_limit, allocate_and_free, false},
    {"a registration within a limit", nothing, register_thread, false},
    {"readings", keep_a_block, read_figures, false},
    {"setting limits", keep_a_block, set_limits, false},
};

static atomic_bool may_end;
static atomic_int holding;

static void *hold(void *argument)
{
    void *block = zmalloc(100 * (size_t) (uintptr_t) argument);
    block = zrealloc(block, 3000);
    atomic_fetch_add(&holding, 1);
    while (!atomic_load(&may_end)) {
        usleep(1000);
    }
    zfree(block);
    return NULL;
}

static long try_mode(unsigned scale)
{
    bool limited = strstr(mode->name, "within") != NULL;
    check(zmalloc_set_limit(limited ? ROOM : 0) == 0);
    run(COUNT, 0);
    long count = run(READ, 0);
    check(count > 10);
    long forks = 0;
    long distance = 1 + count / (SOME * (long) scale);
    for (long at = 1 + getpid() % distance; at <= count; at += distance) {
        handlers_act = HANDLERS_MAY_ACT && !handlers_act;
        run(FORK, at);
        forks += was_there; /* a call does not have as many instructions each time */
    }
    check(forks >= SOME / 4);
    handlers_act = false;
    return forks;
}

int main(int argc, char **argv)
{
    unsigned scale = scale_from(argc, argv);
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
    zfree(zmalloc(1)); /* so that the key is younger than the library's */
    check(pthread_key_create(&end_key, stop_at_end) == 0);
    check(pthread_atfork(act_in_handler, act_in_handler, act_in_handler) == 0);
    pthread_t holders[HOLDERS];
    for (uintptr_t i = 0; i < HOLDERS; i++) {
        holders[i] = start(hold, (void *) (i + 1));
    }
    while (atomic_load(&holding) < HOLDERS) {
        usleep(1000);
    }
    held_by_others = zmalloc_used_memory();
    long forks = 0;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        mode = &modes[i];
        forks += try_mode(scale);
    }
    check(zmalloc_set_limit(0) == 0);
    atomic_store(&may_end, true);
    for (size_t i = 0; i < HOLDERS; i++) {
        join(holders[i]);
    }
    printf("figure: %ld forks in the middle of a call\n", forks);
    return 0;
}

#endif
