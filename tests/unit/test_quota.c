/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Quotas, one step at a time: a thread stands between its look at the mark and its count while others take credit
 * back, end or fork; a count is about to wrap; the system refuses the barrier, from the start or later.
 */
#include "limit/claim.h"
#include "limit/limit.h"
#include "limit/quota.h"
#include "os/os.h"

#include "../c/no_barrier.h"
#include "../c/threads.h"

#include <sys/syscall.h>
#include <sys/wait.h>

enum { ROOM = 8 << 20, PIECE = 1000 };

static bool has_barrier;

/* Under a sanitizer no child of many threads may have threads, or memory. */
static bool may_fork(void)
{
    return !THREAD_SANITIZER && !ADDRESS_SANITIZER && !is_emulated();
}

/* A thread takes these steps when it is told so. */
enum step { REST, GET_CREDIT, USE, LEAVE_UNUSED, ALLOCATE, TAKE_BACK, END };

struct worker {
    pthread_t thread;
    _Atomic enum step step;
    bool good;
    void *block;
};

static bool take_step(struct worker *worker, enum step step)
{
    switch (step) {
    case GET_CREDIT:
        zfree(ztrymalloc(PIECE));
        return zm_quota_has_credit(&zm_self) == has_barrier;
    case USE:
        return zm_quota_use(&zm_self, PIECE);
    case LEAVE_UNUSED:
        zm_quota_commit(&zm_self, PIECE);
        return true;
    case ALLOCATE:
        worker->block = ztrymalloc(PIECE);
        return worker->block != NULL;
    case TAKE_BACK:
        zm_quota_take_back_all();
        return true;
    default:
        return true;
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (enum step step = REST; step != END;) {
        step = atomic_load(&worker->step);
        if (step != REST) {
            worker->good = take_step(worker, step);
            atomic_store(&worker->step, REST);
        }
        sched_yield();
    }
    return NULL;
}

static bool tell(struct worker *worker, enum step step)
{
    atomic_store(&worker->step, step);
    while (atomic_load(&worker->step) != REST) {
        sched_yield();
    }
    return worker->good;
}

static void begin(struct worker *worker)
{
    *worker = (struct worker){.step = REST};
    worker->thread = start(work, worker);
}

static void end(struct worker *worker)
{
    tell(worker, END);
    join(worker->thread);
}

static size_t promised(void)
{
    return zm_quota_sum_all().promised;
}

static void limit_to(size_t bytes)
{
    check(zmalloc_set_limit(bytes) == 0);
}

/* What is lent is promised, and no more so once it was taken back. */
static void credit_is_lent_and_taken_back(void)
{
    struct worker worker;
    begin(&worker);
    check(promised() == 0 && !zm_quota_sum_all().idle);
    check(tell(&worker, GET_CREDIT));
    check(promised() > PIECE && zm_quota_sum_all().idle);
    zm_quota_take_back_all();
    check(promised() == 0 && !zm_quota_sum_all().idle);
    check(!tell(&worker, USE));
    check(promised() == 0);
    check(tell(&worker, GET_CREDIT) && promised() > PIECE);
    end(&worker);
    check(promised() == 0);
}

/* Taken back while the thread has looked at the mark, and not counted yet. */
static void bytes_in_use_stay_promised(void)
{
    struct worker worker;
    begin(&worker);
    check(tell(&worker, GET_CREDIT));
    if (has_barrier) {
        check(tell(&worker, USE));
        check(promised() > PIECE);
        zm_quota_take_back_all();
        check(promised() == PIECE && !zm_quota_sum_all().idle);
        check(tell(&worker, LEAVE_UNUSED));
        check(promised() == 0);
    }
    end(&worker);
}

static void a_thread_that_ends_leaves_no_promise(void)
{
    struct worker worker;
    begin(&worker);
    check(tell(&worker, GET_CREDIT));
    check(!has_barrier || tell(&worker, USE));
    end(&worker);
    check(promised() == 0 && !zm_quota_sum_all().idle);
    zm_quota_take_back_all();
    begin(&worker); /* by the same slot */
    check(promised() == 0);
    check(tell(&worker, GET_CREDIT));
    end(&worker);
}

/* The library's destructor has run before this one. */
static pthread_key_t key;
static atomic_bool credit_at_end;

static void look_for_credit(void *value)
{
    (void) value;
    zfree(ztrymalloc(PIECE));
    atomic_store(&credit_at_end, zm_quota_has_credit(&zm_self) || atomic_load(&zm_self.quota.fenced) != 0);
}

static void *get_credit_and_end(void *good)
{
    zfree(ztrymalloc(PIECE));
    *(bool *) good = zm_quota_has_credit(&zm_self) == has_barrier && pthread_setspecific(key, good) == 0;
    return NULL;
}

static void a_thread_that_ends_has_no_credit(void)
{
    bool good;
    check(pthread_key_create(&key, look_for_credit) == 0);
    join(start(get_credit_and_end, &good));
    check(good && !atomic_load(&credit_at_end));
    check(pthread_key_delete(key) == 0);
}

static void check_child(pid_t child)
{
    int status = 0;
    check(child > 0 && waitpid(child, &status, 0) == child);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The child does not have the other thread's promise, and takes back this thread's. */
static void a_fork_leaves_the_others_promises_behind(void)
{
    struct worker worker;
    begin(&worker);
    check(tell(&worker, GET_CREDIT));
    check(!has_barrier || tell(&worker, USE));
    zfree(ztrymalloc(PIECE));
    size_t in_parent = promised();
    check(in_parent > 2 * PIECE);
    pid_t child = fork();
    if (child == 0) {
        zmalloc_used_memory();
        size_t own = promised();
        check(own > PIECE && own < in_parent);
        zm_quota_take_back_all();
        check(promised() == 0 && !zm_quota_has_credit(&zm_self));
        zfree(ztrymalloc(PIECE));
        check(promised() > PIECE && zm_quota_has_credit(&zm_self) == has_barrier);
        _exit(0);
    }
    check_child(child);
    end(&worker);
    zm_quota_take_back_all();
}

/* Amid a call that has reserved its bytes, as a signal handler may come: they count for what it allocates, and stay.
 */
static void a_handler_amid_a_call_leaves_its_bytes(void)
{
    enum { LARGE = 1 << 20 };
    zfree(ztrymalloc(PIECE));
    if (!has_barrier) {
        return;
    }
    check(zm_quota_use(&zm_self, PIECE));
    check(zm_quota_use(&zm_self, 1));
    zm_quota_commit(&zm_self, 1);
    size_t credit = promised();
    zfree(ztrymalloc(PIECE));
    check(promised() < credit && zm_quota_has_credit(&zm_self));
    void *block = ztrymalloc(LARGE); /* asks, and is lent nothing */
    check(block != NULL && !zm_quota_has_credit(&zm_self));
    check(promised() == PIECE);
    zfree(block);
    zm_quota_commit(&zm_self, PIECE);
    check(promised() == 0);
    zfree(ztrymalloc(PIECE));
    check(zm_quota_has_credit(&zm_self));
    size_t left = promised();
    check(left < SIZE_MAX / 2 && !zm_quota_use(&zm_self, left) &&
          zm_quota_use(&zm_self, left - 1)); /* never up to the mark */
    zm_quota_commit(&zm_self, left - 1);
}

/* As a call does, up to where it has the lock; and from there on. */
static void begin_to_ask(void)
{
    zm_self.asking++;
    zm_quota_ask(&zm_self.quota);
}

static bool is_lent(void)
{
    zm_quota_lend(&zm_self.quota, PIECE);
    zm_self.asking--;
    bool lent = promised() == PIECE;
    check(lent || (promised() == 0 && atomic_load(&zm_self.quota.fenced) == 0));
    check(zm_quota_has_credit(&zm_self) == (lent && has_barrier));
    return lent;
}

/* Else it would have what others may not have seen, as they have the lock meanwhile. */
static void a_call_is_lent_nothing_after_a_handler_that_asks(void)
{
    zm_quota_take_back_all();
    begin_to_ask();
    check(promised() == 0);
    check(is_lent());

    begin_to_ask();
    check(!zm_quota_use(&zm_self, 1) && promised() == 0);
    zfree(ztrymalloc(PIECE));
    check(promised() == 0);
    check(!is_lent());

    begin_to_ask();
    limit_to(zmalloc_limit());
    check(!is_lent());
}

static void a_call_is_lent_nothing_after_others_took_it_back(void)
{
    struct worker worker;
    begin(&worker);
    begin_to_ask();
    check(tell(&worker, TAKE_BACK));
    check(!is_lent());
    begin_to_ask();
    zm_quota_take_back_all();
    check(is_lent());
    end(&worker);
    zm_quota_take_back_all();
}

/* Counts of 32 bits wrap; those of 64 bits are only said to. */
static void no_mark_is_near_the_end_of_its_type(void)
{
    static const size_t counts[] = {
        SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - ZM_QUOTA_MARGIN, SIZE_MAX - 2 * ROOM, SIZE_MAX / 2, SIZE_MAX / 2 + 1, 0};
    static const size_t amounts[] = {1, ROOM, PTRDIFF_MAX, SIZE_MAX - 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        for (size_t j = 0; j < sizeof(amounts) / sizeof(amounts[0]); j++) {
            _Atomic size_t count = counts[i];
            struct zm_quota quota = {.allocated = &count, .until = 1, .lent = 2, .fenced = 3};
            zm_quota_ask(&quota);
            zm_quota_lend(&quota, amounts[j]);
            size_t until = has_barrier ? quota.until : quota.fenced;
            check((has_barrier ? quota.fenced : quota.until) == 0);
            check(quota.lent == quota.until);
            bool fits =
                amounts[j] < SIZE_MAX - ZM_QUOTA_MARGIN && counts[i] < SIZE_MAX - ZM_QUOTA_MARGIN - amounts[j];
            check(until == (fits ? counts[i] + amounts[j] : 0));
        }
    }
}

/* It is not live, and shares a quota with others like it. In a child that is one where nobody else's bytes are. */
static void *reserve_without_slot(void *argument)
{
    struct zm_quota *first = zm_quota_own();
    size_t before = promised();
    check(first != &zm_self.quota);
    atomic_fetch_add(&first->reserved, PIECE);
    check(promised() == before + PIECE);
    zm_quota_start_child();
    check(zm_quota_own() != first && promised() == before);
    for (int children = 1; zm_quota_own() != first; children++) {
        check(children < 100);
        zm_quota_start_child();
    }
    check(promised() == before); /* what is left there from so long ago is no promise */
    return argument;
}

static void threads_without_a_slot_promise_too(void)
{
    join(start(reserve_without_slot, NULL));
}

static size_t refusals;

static void count_refusal(size_t size)
{
    check(size == PIECE);
    refusals++;
}

/* Each of them counts its block once, and what it has reserved is reserved no more; also if there is no room. */
static void every_call_asks_for_its_bytes(void)
{
    void *(*const calls[])(size_t) = {ztrymalloc, zmalloc, ztrycalloc, zcalloc};
    size_t used = zmalloc_used_memory();
    zmalloc_set_oom_handler(count_refusal);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        for (int times = 0; times < 3; times++) {
            unsigned char *block = calls[i](PIECE);
            check(block != NULL);
            check_used(used + zmalloc_size(block));
            check(atomic_load(&zm_self.quota.reserved) == 0);
            check(i < 2 || (block[0] == 0 && memcmp(block, block + 1, PIECE - 1) == 0));
            memset(block, 1, PIECE);
            zfree(block);
        }
        limit_to(used + PIECE / 2);
        check(calls[i](PIECE) == NULL && refusals == (i + 1) / 2);
        check(atomic_load(&zm_self.quota.reserved) == 0);
        check_used(used);
        limit_to(used + ROOM);
    }
    refusals = 0;
    zmalloc_set_oom_handler(NULL);
}

static void run_all(void)
{
    size_t used = zmalloc_used_memory();
    limit_to(used + ROOM);
    credit_is_lent_and_taken_back();
    bytes_in_use_stay_promised();
    a_thread_that_ends_leaves_no_promise();
    a_thread_that_ends_has_no_credit();
    if (may_fork()) {
        a_fork_leaves_the_others_promises_behind();
    }
    a_handler_amid_a_call_leaves_its_bytes();
    a_call_is_lent_nothing_after_a_handler_that_asks();
    a_call_is_lent_nothing_after_others_took_it_back();
    no_mark_is_near_the_end_of_its_type();
    threads_without_a_slot_promise_too();
    every_call_asks_for_its_bytes();
    limit_to(0);
    check_used(used);
}

static void run_where_refused(enum refused refused)
{
    pid_t child = fork();
    if (child == 0) {
        if (!refuse_barrier(refused)) {
            puts("left out: the system's refusal, as a process can't filter its system calls");
            _exit(0);
        }
        zm_quota_prepare();
        has_barrier = false;
        run_all();
        _exit(0);
    }
    check_child(child);
}

/* It was granted when credit was lent: the thread keeps what it has until it asks. */
static void refuse_later(void)
{
    struct worker worker;
    limit_to(zmalloc_used_memory() + ROOM);
    begin(&worker);
    check(tell(&worker, GET_CREDIT));
    if (!refuse_barrier(BOTH)) {
        _exit(0);
    }
    size_t before = promised();
    zm_quota_take_back_all();
    check(promised() == before && before > PIECE);
    check(!tell(&worker, USE));
    has_barrier = false;
    check(tell(&worker, ALLOCATE)); /* asks, and is lent by the other mark */
    check(promised() > 0);
    zm_quota_take_back_all();
    check(promised() == 0);
    zfree(worker.block);
    end(&worker);
    run_all();
    _exit(0);
}

static void run_where_refused_later(void)
{
    pid_t child = fork();
    if (child == 0) {
        refuse_later();
    }
    check_child(child);
}

/* What the kernel says that it can. */
static bool could_have_barrier(void)
{
#ifdef SYS_membarrier
    enum { QUERY = 0, PRIVATE_EXPEDITED = 1 << 3 };
    long commands = syscall(SYS_membarrier, QUERY, 0, 0);
    return commands > 0 && (commands & PRIVATE_EXPEDITED) != 0;
#else
    return false;
#endif
}

static void the_first_limit_prepares_the_barrier(void)
{
    has_barrier = could_have_barrier();
    limit_to(ROOM);
    zfree(ztrymalloc(PIECE));
    check(zm_quota_has_credit(&zm_self) == has_barrier);
    check((zm_os_barrier_in_all_threads() == 0) == has_barrier);
}

int main(void)
{
    if (may_fork()) {
        run_where_refused(REGISTERING); /* before it is registered: a child inherits that */
    }
    the_first_limit_prepares_the_barrier();
    if (!has_barrier) {
        puts("this system has no barrier in all threads");
    }
    run_all();
    if (!may_fork()) {
        puts("left out: the system's refusals, for which it forks");
        return 0;
    }
    run_where_refused(BOTH);
    run_where_refused(BARRIERS);
    if (has_barrier) {
        run_where_refused_later();
    }
    return 0;
}
