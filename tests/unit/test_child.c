/* SPDX-License-Identifier: BSD-3-Clause */
/* The locks, and how a child is settled: what waits, what is run, and what of it a child finds as new. It has the
 * source in it, in the place of the library's, for a system that clears no page. */
#include "sync/child.c"

#include "../c/threads.h"

#include <sys/wait.h>

/* Before, it was as if it were. */
static void it_is_settled_since_the_library_started(void)
{
    check(atomic_load(&ordinary.is_settled) && atomic_load(&ordinary.stamp) % 2 == 1);
    check(atomic_load(&zm_child_page->is_settled));
    check_used(0); /* or the linker would leave out the part that starts it */
    check((zm_child_page == &ordinary) == (zm_os_map_cleared_in_child(sizeof(ordinary)) == NULL));
    check(zm_child_page == &ordinary || zm_child_stamp() != atomic_load(&ordinary.stamp));
}

static void each_stamp_is_odd_and_new(void)
{
    size_t before = 1;
    for (int i = 0; i < 100; i++) {
        check(zm_child_stamp() % 2 == 1 && zm_child_stamp() >= before);
        before = zm_child_stamp() + 1;
        zm_child_new_stamp();
    }
}

static uintptr_t taken;
static atomic_bool has_lock;

static void *take_and_release(void *argument)
{
    uintptr_t token = zm_lock_take(ZM_LOCK_LIMIT);
    atomic_store(&has_lock, true);
    check(zm_lock_release(ZM_LOCK_LIMIT, token));
    return argument;
}

static void wait_for_lock(pthread_t thread)
{
    join(thread);
    check(atomic_exchange(&has_lock, false));
}

static pthread_t start_waiting(void)
{
    pthread_t thread = start(take_and_release, NULL);
    usleep(20000); /* longer than it only yields */
    check(!atomic_load(&has_lock));
    return thread;
}

static void another_thread_waits(void)
{
    uintptr_t token = zm_lock_take(ZM_LOCK_LIMIT);
    uintptr_t other = zm_lock_take(ZM_LOCK_QUARANTINE); /* one lock is not another */
    pthread_t thread = start_waiting();
    check(zm_lock_release(ZM_LOCK_QUARANTINE, other));
    usleep(2000);
    check(!atomic_load(&has_lock));
    check(zm_lock_release(ZM_LOCK_LIMIT, token));
    wait_for_lock(thread);
}

/* As handlers do that interrupt one another: each takes the lock, and who had it before is told so at the end. */
static void the_same_thread_takes_it_again(void)
{
    uintptr_t first = zm_lock_take(ZM_LOCK_LIMIT);
    uintptr_t second = zm_lock_take(ZM_LOCK_LIMIT);
    uintptr_t third = zm_lock_take(ZM_LOCK_LIMIT);
    check(first != second && second != third && first != third);
    pthread_t thread = start_waiting();
    check(zm_lock_release(ZM_LOCK_LIMIT, third));
    wait_for_lock(thread);
    check(!zm_lock_release(ZM_LOCK_LIMIT, second));
    uintptr_t again = zm_lock_take(ZM_LOCK_LIMIT);
    check(!zm_lock_release(ZM_LOCK_LIMIT, second));
    thread = start_waiting();
    check(zm_lock_release(ZM_LOCK_LIMIT, again));
    wait_for_lock(thread);
}

/* As many times as there are levels: each is another one. */
static void each_time_has_its_own_token(void)
{
    uintptr_t nested_tokens[LEVELS];
    for (int i = 0; i < LEVELS; i++) {
        nested_tokens[i] = zm_lock_take(ZM_LOCK_LIMIT);
        for (int before = 0; before < i; before++) {
            check(nested_tokens[before] != nested_tokens[i]);
        }
    }
    for (int i = LEVELS - 1; i >= 0; i--) {
        check(zm_lock_release(ZM_LOCK_LIMIT, nested_tokens[i]) == (i == LEVELS - 1));
    }
}

static void check_child(void (*body)(void))
{
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        alarm(60);
        body();
        _exit(0);
    }
    int status;
    check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void take_it_in_child(void)
{
    check(!zm_lock_release(ZM_LOCK_LIMIT, taken));
    uintptr_t token = zm_lock_take(ZM_LOCK_LIMIT);
    check(zm_lock_release(ZM_LOCK_LIMIT, token));
}

static void *hold(void *may_end)
{
    taken = zm_lock_take(ZM_LOCK_LIMIT);
    atomic_store(&has_lock, true);
    while (!atomic_load((atomic_bool *) may_end)) {
        usleep(100);
    }
    check(zm_lock_release(ZM_LOCK_LIMIT, taken));
    return NULL;
}

/* Whoever held it when the parent forked, in the child or not. */
static void a_child_finds_it_free(void)
{
    taken = zm_lock_take(ZM_LOCK_LIMIT);
    check_child(take_it_in_child);
    check(zm_lock_release(ZM_LOCK_LIMIT, taken));
    atomic_bool may_end = false;
    pthread_t thread = start(hold, &may_end);
    while (!atomic_load(&has_lock)) {
        usleep(100);
    }
    check_child(take_it_in_child);
    atomic_store(&may_end, true);
    wait_for_lock(thread);
}

/* All but the last. */
static const enum zm_lock_name last = (enum zm_lock_name)(ZM_LOCKS - 1);

static void release_none_in_child(void)
{
    check(!zm_lock_has_all());
    uintptr_t token = zm_lock_take(ZM_LOCK_LIMIT);
    zm_lock_release_all(ZM_LOCK_LIMIT, last); /* as its parent is about to */
    check(zm_lock_release(ZM_LOCK_LIMIT, token));
}

static void take_all_anew_in_child(void)
{
    zm_lock_take_all(ZM_LOCK_LIMIT, last);
    check(zm_lock_has_all());
    zm_lock_release_all(ZM_LOCK_LIMIT, last);
    check(!zm_lock_has_all());
}

/* A thread that forks; one of them it may have already. Another fork in a handler of that one takes none. */
static void one_thread_takes_them_all(void)
{
    uintptr_t own = zm_lock_take(ZM_LOCK_QUARANTINE);
    zm_lock_take_all(ZM_LOCK_LIMIT, last);
    check(zm_lock_has_all());
    for (int i = 0; i < ZM_LOCKS; i++) {
        check((atomic_load(&zm_child_page->locks[i].holder) != 0) == (i < (int) last));
    }
    pthread_t thread = start_waiting();
    check_child(release_none_in_child);
    zm_lock_take_all(ZM_LOCK_LIMIT, last);
    zm_lock_take_all(ZM_LOCK_LIMIT, last);
    check_child(take_all_anew_in_child);
    zm_lock_release_all(ZM_LOCK_LIMIT, last);
    zm_lock_release_all(ZM_LOCK_LIMIT, last);
    check(zm_lock_has_all() && !atomic_load(&has_lock));
    zm_lock_release_all(ZM_LOCK_LIMIT, last);
    check(!zm_lock_has_all());
    wait_for_lock(thread);
    for (int i = 0; i < ZM_LOCKS; i++) {
        check((atomic_load(&zm_child_page->locks[i].holder) != 0) == (i == ZM_LOCK_QUARANTINE));
    }
    check(zm_lock_release(ZM_LOCK_QUARANTINE, own));
}

static void those_that_were_not_asked_for_stay(void)
{
    zm_lock_take_all(ZM_LOCK_LIMIT, ZM_LOCKS);
    zm_lock_release_all(ZM_LOCK_LIMIT, ZM_LOCKS);
    uintptr_t token = zm_lock_take(last);
    zm_lock_take_all(ZM_LOCK_LIMIT, last);
    zm_lock_release_all(ZM_LOCK_LIMIT, last);
    check(zm_lock_release(last, token));
}

static struct zm_child_stage stages[4];
static atomic_uint runs;
static sigset_t blocked;
static size_t stamp_amid;

static void note_stage(struct zm_child_stage stage)
{
    stages[atomic_fetch_add(&runs, 1) % 4] = stage;
    stamp_amid = zm_child_stamp();
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
}

/* A handler that waits for the child to be settled must not interrupt who settles it; a debugger's step may. */
static void check_signals(void)
{
    static const int kept_back[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGCHLD};
    static const int raised[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    sigset_t now;
    for (size_t i = 0; i < sizeof(kept_back) / sizeof(kept_back[0]); i++) {
        check(sigismember(&blocked, kept_back[i]) == 1);
    }
    for (size_t i = 0; i < sizeof(raised) / sizeof(raised[0]); i++) {
        check(sigismember(&blocked, raised[i]) == 0);
    }
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    check(sigismember(&now, SIGUSR1) == 0 && sigismember(&now, SIGALRM) == 0);
}

/* By whoever comes first, and once more by the thread that forked. */
static void a_child_is_settled_once(void)
{
    zm_child_check();
    check(atomic_load(&runs) == 0);
    atomic_store(&zm_child_page->is_settled, false);
    zm_child_check();
    zm_child_check();
    check(atomic_load(&runs) == 1 && stages[0].first && !stages[0].last);
    check_signals();
    zm_child_handle();
    check(atomic_load(&runs) == 2 && !stages[1].first && stages[1].last);
    atomic_store(&zm_child_page->is_settled, false);
    zm_child_handle();
    check(atomic_load(&runs) == 3 && stages[2].first && stages[2].last);
    atomic_store(&runs, 0);
}

/* Whatever the parent had taken. */
static void without_a_page_the_handler_clears_the_state(void)
{
    struct zm_child_page *page = zm_child_page;
    zm_child_page = &ordinary;
    zm_lock_take_all(ZM_LOCK_LIMIT, ZM_LOCKS);
    atomic_store(&ordinary.settler, 1);
    size_t before = zm_child_stamp();
    zm_child_handle();
    check(atomic_exchange(&runs, 0) == 1 && stages[0].first && stages[0].last && stamp_amid == 0);
    check(atomic_load(&ordinary.is_settled) && zm_child_stamp() % 2 == 1 && zm_child_stamp() != before);
    check(!zm_lock_has_all() && atomic_load(&ordinary.settler) == 0);
    for (int i = 0; i < ZM_LOCKS; i++) {
        check(atomic_load(&ordinary.locks[i].holder) == 0);
    }
    zm_child_page = page;
}

static atomic_bool is_over;

static void *check_child_page(void *argument)
{
    zm_child_check();
    atomic_store(&is_over, true);
    return argument;
}

/* Others wait until it is, and don't do it again. */
static void others_wait_for_who_settles_it(void)
{
    static _Alignas(64) char another;
    atomic_store(&zm_child_page->settler, (uintptr_t) &another);
    atomic_store(&zm_child_page->is_settled, false);
    pthread_t thread = start(check_child_page, NULL);
    usleep(20000);
    check(!atomic_load(&is_over));
    atomic_store(&zm_child_page->is_settled, true);
    atomic_store(&zm_child_page->settler, 0);
    join(thread);
    check(atomic_load(&is_over) && atomic_load(&runs) == 0);
}

int main(void)
{
    if (is_emulated()) {
        puts("skipped: under emulation no page is cleared in a child");
        return SKIPPED;
    }
    alarm(60);
    it_is_settled_since_the_library_started();
    each_stamp_is_odd_and_new();
    another_thread_waits();
    the_same_thread_takes_it_again();
    each_time_has_its_own_token();
    a_child_finds_it_free();
    one_thread_takes_them_all();
    those_that_were_not_asked_for_stay();
    zm_child_set_hook(ZM_CHILD_LIMIT, note_stage);
    a_child_is_settled_once();
    without_a_page_the_handler_clears_the_state();
    others_wait_for_who_settles_it();
    return 0;
}
