/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forks while other threads allocate, in a program with fork handlers of its own: registered before all others,
 * before the library's, or after them; and with everything in them that a handler may do. No child hangs, and each
 * counts what it was born with, and what it does, to the byte. A number as argument makes it fork that many times as
 * often.
 */
#include "threads.h"

#include <signal.h>
#include <sys/wait.h>

enum { FORKS = 2, CHURNERS = 3, HOLDERS = 3, TABLE = 64, LARGEST = 20000, SECONDS_TO_HANG = 100 };

/* Blocks: where each is, so that a child can add up what it was born with. */
enum { HELD = 10 << 20, IN_HANDLER_THREAD = 77777, POOL = 600 };
static _Atomic(void *) churned[CHURNERS][TABLE];
static _Atomic(void *) held[HOLDERS];
static _Atomic(void *) pool[POOL];
static size_t next_in_pool;

/* When the handlers are registered, and what they do. */
enum order { FIRST, EARLY, LATE, ORDERS };
enum {
    ALLOCATE = 1 << 0,
    FREE = 1 << 1,
    READ = 1 << 2,
    LIMIT = 1 << 3,
    THREADS_IN_CHILD = 1 << 4,
    THREADS_AROUND = 1 << 5, /* in the parent, before and after the fork: waits for one that allocates */
};
static const char *const names[] = {
    "allocates", "frees", "reads", "sets limits", "starts threads in the child", "waits for threads"};

static enum order order;
static bool has_first;
static unsigned deeds;
static bool is_limited;
static bool in_action;

static _Atomic(void *) *any_free_place(void)
{
    for (size_t i = 0; i < POOL; i++) {
        if (atomic_load(&pool[i]) == NULL) {
            return &pool[i];
        }
    }
    check(false);
    return NULL;
}

static void allocate(void)
{
    void *blocks[40];
    for (size_t i = 0; i < 40; i++) {
        blocks[i] = zmalloc(16 + i * 977);
    }
    for (size_t i = 0; i < 40; i++) {
        zfree(blocks[i]);
    }
    zfree(zmalloc(3 << 20));
    atomic_store(any_free_place(), zmalloc(5000));
}

static void free_some(void)
{
    for (int i = 0; i < 5; i++) {
        zfree(atomic_exchange(&pool[next_in_pool++ % POOL], NULL));
    }
}

static void read_all(void)
{
    check(zmalloc_used_memory() > HOLDERS * (size_t) HELD);
    check(zmalloc_peak_memory() >= HOLDERS * (size_t) HELD);
    size_t freed = zmalloc_total_freed(); /* before: others free more than is held while this one waits its turn */
    check(zmalloc_total_allocated() > freed);
}

static void set_limits(void)
{
    static size_t limit;
    size_t before = zmalloc_limit();
    check(zmalloc_set_limit((1 << 30) + ++limit) == 0);
    check(zmalloc_set_limit(before) == 0);
}

static void *come_and_go(void *argument)
{
    zfree(zmalloc(3000));
    read_all();
    return argument;
}

/*
 * More threads than there were: some have the memory that had been another's, all of them before any does anything.
 */
enum { THREADS = CHURNERS + HOLDERS + 4 };
static pthread_t threads[THREADS];
static bool threads_run;
static atomic_bool all_are_there;
static atomic_int arrived;
static atomic_bool may_end;

static void *allocate_and_stay(void *argument)
{
    while (!atomic_load(&all_are_there)) {
        usleep(500);
    }
    for (size_t i = 0; i < 50; i++) {
        zfree(zmalloc(1000 + i));
    }
    void *block = zmalloc(IN_HANDLER_THREAD);
    atomic_fetch_add(&arrived, 1);
    while (!atomic_load(&may_end)) {
        usleep(1000);
    }
    zfree(block);
    return argument;
}

static void start_threads(void)
{
    for (size_t i = 0; i < THREADS; i++) {
        threads[i] = start(allocate_and_stay, NULL);
    }
    atomic_store(&all_are_there, true);
    while (atomic_load(&arrived) < THREADS) {
        usleep(500);
    }
    threads_run = true;
}

static void act(void)
{
    static void (*const actions[])(void) = {allocate, free_some, read_all, set_limits};
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if ((deeds >> i & 1) != 0) {
            actions[i]();
        }
    }
}

static void act_around(void)
{
    if (in_action) {
        act();
        if ((deeds & THREADS_AROUND) != 0) {
            join(start(come_and_go, NULL));
        }
    }
}

static void act_in_child(void)
{
    if (in_action) {
        alarm(SECONDS_TO_HANG);
        if ((deeds & THREADS_IN_CHILD) != 0) {
            start_threads();
        }
        act();
    }
}

static void register_in(enum order now)
{
    if (order == now) {
        check(pthread_atfork(act_around, act_around, act_in_child) == 0);
    }
}

/* Before every library's constructor. There is no environment yet but this one. */
static void start_first(int argc, char **argv, char **environment)
{
    (void) argc;
    (void) argv;
    has_first = true;
    order = LATE;
    for (; *environment != NULL; environment++) {
        unsigned known;
        unsigned limited;
        if (sscanf(*environment, "ZMALLOC_FORK=%u %u %u", &known, &deeds, &limited) == 3) {
            order = (enum order) known;
            is_limited = limited;
        }
    }
    register_in(FIRST);
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **, char **) = start_first;

__attribute__((constructor(101))) static void start_early(void)
{
    register_in(EARLY);
}

static atomic_bool stop;

static void *churn_table(void *argument)
{
    _Atomic(void *) *table = churned[(uintptr_t) argument];
    struct random random = seeded((uintptr_t) argument);
    while (!atomic_load(&stop)) {
        size_t i = below(&random, TABLE);
        zfree(atomic_exchange(&table[i], NULL));
        atomic_store(&table[i], zmalloc(below(&random, LARGEST) + 1));
    }
    for (size_t i = 0; i < TABLE; i++) {
        zfree(atomic_exchange(&table[i], NULL));
    }
    return NULL;
}

/* All that it has it has had for long, when there is a fork. */
static void *hold(void *argument)
{
    _Atomic(void *) *place = &held[(uintptr_t) argument];
    atomic_store(place, zmalloc(HELD));
    while (!atomic_load(&stop)) {
        usleep(2000);
    }
    zfree(atomic_exchange(place, NULL));
    return NULL;
}

static size_t size_of_all(_Atomic(void *) *blocks, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += zmalloc_size(atomic_load(&blocks[i]));
    }
    return size;
}

static size_t size_of_known(void)
{
    size_t size = size_of_all(held, HOLDERS) + size_of_all(pool, POOL);
    for (size_t i = 0; i < CHURNERS; i++) {
        size += size_of_all(churned[i], TABLE);
    }
    return size;
}

/*
 * Of each thread at most one block is on its way into its table or out of it. Where a thread's memory was another's
 * before our handler came, what a thread did since the handler before the fork is lost as well: within its table.
 */
static void check_inheritance(size_t used)
{
    size_t known = size_of_known() + (threads_run ? THREADS * zmalloc_good_size(IN_HANDLER_THREAD) : 0);
    size_t on_the_way = CHURNERS * (size_t) (LARGEST + 5000) * (threads_run ? TABLE : 1);
    size_t unknown_size = threads_run && zmalloc_good_size(IN_HANDLER_THREAD) == 0 ? THREADS * 80000 : 0;
    check(used + on_the_way >= known && used <= known + on_the_way + unknown_size);
}

static void check_limit(size_t used)
{
    check(zmalloc_set_limit(used + 5000000) == 0);
    void *block = ztrymalloc(4000000);
    check(block != NULL && ztrymalloc(2000000) == NULL);
    zfree(block);
    check(zmalloc_set_limit(0) == 0);
}

static void live_in_child(void)
{
    alarm(SECONDS_TO_HANG);
    size_t used = zmalloc_used_memory();
    check_inheritance(used);
    void *block = zmalloc(10000);
    check_used(used + zmalloc_size(block));
    zfree(block);
    join(start(come_and_go, NULL));
    check_used(used);
    if (threads_run) {
        void *same = zmalloc(IN_HANDLER_THREAD);
        used -= THREADS * zmalloc_size(same);
        zfree(same);
        atomic_store(&may_end, true);
        for (size_t i = 0; i < THREADS; i++) {
            join(threads[i]);
        }
    }
    check_used(used);
    check_limit(used);
    act();
    _exit(0);
}

static void fork_once(void)
{
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        live_in_child();
    }
    int status;
    check(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "a child ended with status %#x: %s\n", (unsigned) status,
                WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "it hung" : "see above");
        _exit(1);
    }
}

static int run_one(unsigned forks)
{
    alarm(SECONDS_TO_HANG * 2);
    register_in(LATE);
    size_t before = zmalloc_used_memory();
    for (size_t i = 0; i < POOL / 2; i++) {
        atomic_store(&pool[i], zmalloc(100 + i));
    }
    pthread_t workers[CHURNERS + HOLDERS];
    for (uintptr_t i = 0; i < CHURNERS + HOLDERS; i++) {
        workers[i] = i < CHURNERS ? start(churn_table, (void *) i) : start(hold, (void *) (i - CHURNERS));
    }
    while (size_of_all(held, HOLDERS) < HOLDERS * (size_t) HELD) {
        usleep(1000);
    }
    check(zmalloc_set_limit(is_limited ? 200 << 20 : 0) == 0);
    in_action = true;
    for (unsigned i = 0; i < forks; i++) {
        fork_once();
    }
    in_action = false;
    atomic_store(&stop, true);
    for (size_t i = 0; i < CHURNERS + HOLDERS; i++) {
        join(workers[i]);
    }
    check_used(before + size_of_all(pool, POOL));
    return 0;
}

static bool passes(const char *program, const char *forks)
{
    char setting[64];
    snprintf(setting, sizeof(setting), "%u %u %u", (unsigned) order, deeds, (unsigned) is_limited);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        setenv("ZMALLOC_FORK", setting, 1);
        execl(program, program, forks, (char *) NULL);
        _exit(1);
    }
    int status;
    check(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/*
 * An allocator, or a hardened heap, that has its locks over a fork, and its handlers before ours, stops all others in
 * between. tcmalloc's
 * stop even the thread that forks, in handlers that are older than its own.
 */
static bool is_possible(void)
{
#ifdef ZMALLOC_TESTS_HARDENED
    bool has_locks = true;
#else
    bool has_locks = strstr(ZMALLOC_LIB, "jemalloc") != NULL || strstr(ZMALLOC_LIB, "tcmalloc") != NULL;
#endif
    if (order == FIRST && strstr(ZMALLOC_LIB, "tcmalloc") != NULL) {
        return false;
    }
    return !has_locks || order == LATE || (deeds & THREADS_AROUND) == 0;
}

int main(int argc, char **argv)
{
    static const char *const orders[] = {"first", "early", "late"};
    if (THREAD_SANITIZER || ADDRESS_SANITIZER || is_emulated()) {
        puts("skipped: under a sanitizer or emulation no child of many threads may have threads");
        return SKIPPED;
    }
    if (getenv("ZMALLOC_FORK") != NULL) {
        return run_one(FORKS * scale_from(argc, argv));
    }
    if (!has_first) {
        puts("skipped: this C library has nothing that comes before the libraries' constructors");
        return SKIPPED;
    }
    unsigned tried = 0;
    for (order = FIRST; order < ORDERS; order++) {
        for (size_t i = 0; i < 2 * sizeof(names) / sizeof(names[0]); i++) {
            deeds = 1U << i / 2;
            is_limited = i % 2 != 0;
            if (!is_possible()) {
                continue;
            }
            tried++;
            if (!passes(argv[0], argc > 1 ? argv[1] : "1")) {
                fprintf(stderr, "this was with a handler registered %s that %s%s\n", orders[order], names[i / 2],
                        is_limited ? ", within a limit" : "");
                return 1;
            }
        }
    }
    printf("figure: %u kinds of fork handlers\n", tried);
    return 0;
}
