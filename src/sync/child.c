/* SPDX-License-Identifier: BSD-3-Clause */
/* The page that is cleared in a child, what is done when that is noticed, and the locks in it. */
#include "sync/child.h"

#include "os/os.h"
#include "sync/backoff.h"

#include <pthread.h>
#include <signal.h>

/* Until the library has started, and where no page can be cleared by the kernel. */
static struct zm_child_page ordinary = {.is_settled = true, .stamp = 1};
struct zm_child_page *zm_child_page = &ordinary;

static _Atomic(zm_child_hook *) hooks[ZM_CHILD_HOOKS];

void zm_child_set_hook(enum zm_child_hook_name name, zm_child_hook *hook)
{
    atomic_store(&hooks[name], hook);
}

void zm_child_new_stamp(void)
{
    static _Atomic size_t last = 1;
    atomic_store(&zm_child_page->stamp, atomic_fetch_add(&last, 2) + 2);
}

void zm_child_start(void)
{
    struct zm_child_page *page = zm_os_map_cleared_in_child(sizeof(*page));
    if (page != NULL) {
        atomic_store(&page->is_settled, true);
        zm_child_page = page;
        zm_child_new_stamp();
    }
}

/* Levels are for a thread that takes a lock in a handler while it holds it. A thread's own address leaves room. */
enum { LEVELS = 8 };

static uintptr_t self(void)
{
    return (uintptr_t) pthread_self() / LEVELS * LEVELS;
}

static uintptr_t take(_Atomic uintptr_t *holder)
{
    unsigned pauses = 0;
    for (;;) {
        uintptr_t found = atomic_load(holder);
        bool is_own = found / LEVELS * LEVELS == self();
        uintptr_t token = is_own ? self() + (found + 1) % LEVELS : self();
        if (found != 0 && !is_own) {
            zm_backoff(&pauses);
        } else if (atomic_compare_exchange_strong(holder, &found, token)) {
            return token;
        }
    }
}

static bool release(_Atomic uintptr_t *holder, uintptr_t token)
{
    return atomic_compare_exchange_strong(holder, &token, 0);
}

uintptr_t zm_lock_take(enum zm_lock_name name)
{
    return take(&zm_child_page->locks[name].holder);
}

bool zm_lock_release(enum zm_lock_name name, uintptr_t token)
{
    return release(&zm_child_page->locks[name].holder, token);
}

bool zm_lock_has_all(void)
{
    return atomic_load(&zm_child_page->has_all) == self();
}

/* Of the thread that has them all. */
static uintptr_t tokens[ZM_LOCKS];
static unsigned nested;

void zm_lock_take_all(enum zm_lock_name first, enum zm_lock_name end)
{
    if (zm_lock_has_all()) {
        nested++;
        return;
    }
    for (int i = (int) first; i < (int) end; i++) {
        _Atomic uintptr_t *holder = &zm_child_page->locks[i].holder;
        uintptr_t token = atomic_load(holder) / LEVELS * LEVELS != self() ? take(holder) : 0;
        tokens[i] = token; /* not before it is taken: until then these are another thread's */
    }
    nested = 0;
    atomic_store(&zm_child_page->has_all, self());
}

/* Not if this is a child, forked by a handler of the fork that took them. */
void zm_lock_release_all(enum zm_lock_name first, enum zm_lock_name end)
{
    if (!zm_lock_has_all()) {
        return;
    }
    if (nested > 0) {
        nested--;
        return;
    }
    atomic_store(&zm_child_page->has_all, 0);
    for (int i = (int) first; i < (int) end; i++) {
        release(&zm_child_page->locks[i].holder, tokens[i]); /* 0: it stays as it is */
    }
}

static void run_hooks(struct zm_child_stage stage)
{
    for (int i = 0; i < ZM_CHILD_HOOKS; i++) {
        zm_child_hook *hook = atomic_load(&hooks[i]);
        if (hook != NULL) {
            hook(stage);
        }
    }
}

/* Signals that an instruction raises can't be kept back, and a debugger's must not be. */
static void block_signals(sigset_t *before)
{
    sigset_t most;
    sigfillset(&most);
    sigdelset(&most, SIGTRAP);
    sigdelset(&most, SIGSEGV);
    sigdelset(&most, SIGBUS);
    sigdelset(&most, SIGILL);
    sigdelset(&most, SIGFPE);
    sigdelset(&most, SIGABRT);
    pthread_sigmask(SIG_BLOCK, &most, before);
}

/*
 * One thread at a time, while the others wait: so it is not to be interrupted by a handler that would wait too. A
 * fork of another thread meanwhile is no harm, as all that the hooks do can be done again.
 */
static void settle(bool last)
{
    sigset_t signals;
    block_signals(&signals);
    uintptr_t token = take(&zm_child_page->settler);
    bool first = !atomic_load(&zm_child_page->is_settled);
    if (first || last) {
        run_hooks((struct zm_child_stage){.first = first, .last = last});
        zm_child_new_stamp();
    }
    atomic_store(&zm_child_page->is_settled, true);
    release(&zm_child_page->settler, token);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
}

void zm_child_settle(void)
{
    settle(false);
}

static void clear(struct zm_child_page *page)
{
    for (int i = 0; i < ZM_LOCKS; i++) {
        atomic_store(&page->locks[i].holder, 0);
    }
    atomic_store(&page->settler, 0);
    atomic_store(&page->has_all, 0);
    atomic_store(&page->stamp, 0);
    atomic_store(&page->is_settled, false);
}

void zm_child_handle(void)
{
    if (zm_child_page == &ordinary) {
        clear(&ordinary);
    }
    settle(true);
}
