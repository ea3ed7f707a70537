/* SPDX-License-Identifier: BSD-3-Clause */
/* How a forked child notices that it is one, even before our fork handler ran; and locks that it finds free. */
#ifndef ZM_CHILD_H
#define ZM_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A child handler of another library may run before ours: it allocates, or starts threads that do, while our state is
 * still the parent's. So nobody relies on the handler. The state below is in a page that the kernel clears in every
 * child; whoever finds it cleared settles the child first. Where the kernel can't do that, our handler clears it.
 */
enum zm_lock_name {
    ZM_LOCK_LIMIT,
    ZM_LOCK_PUBLISH, /* who starts and ends it */
    ZM_LOCK_PAGE,    /* who writes */
    ZM_LOCK_QUARANTINE,
    ZM_LOCK_PARTS, /* of the registry */
    ZM_LOCKS = ZM_LOCK_PARTS + 32,
};

struct zm_lock {
    _Alignas(64) _Atomic uintptr_t holder;
};

struct zm_child_page {
    atomic_bool is_settled;
    _Atomic uintptr_t settler;
    _Atomic uintptr_t has_all; /* the locks: a thread that forks */
    _Atomic size_t stamp;
    struct zm_lock locks[ZM_LOCKS];
};

extern struct zm_child_page *zm_child_page;

/* What is done once in a child; and again, if another thread was earlier, in the handler of the one that forked. */
struct zm_child_stage {
    bool first;
    bool last; /* this is the thread that forked, in its handler */
};

/* In this order; each may have been interrupted by another fork, and then begins again in that child. */
typedef void zm_child_hook(struct zm_child_stage stage);
enum zm_child_hook_name { ZM_CHILD_LIMIT, ZM_CHILD_ACCOUNT, ZM_CHILD_PUBLISH, ZM_CHILD_HOOKS };
void zm_child_set_hook(enum zm_child_hook_name name, zm_child_hook *hook);

/* When the library is loaded. */
void zm_child_start(void);

/* In the child handler. */
void zm_child_handle(void);

void zm_child_settle(void);

/* Comes before all that looks at what the parent left. */
static inline void zm_child_check(void)
{
    if (!atomic_load_explicit(&zm_child_page->is_settled, memory_order_acquire)) {
        zm_child_settle();
    }
}

/*
 * The stamp: a number for all that is kept of a state which changes seldom. What was kept holds while the stamp is
 * what it was. Each one is odd, and is there once; a child that is not settled has none, which is 0.
 */
enum { ZM_NEVER_A_STAMP = 2 };

static inline size_t zm_child_stamp(void)
{
    return atomic_load(&zm_child_page->stamp);
}

void zm_child_new_stamp(void);

/*
 * Locks. A thread that holds one may be interrupted by a signal whose handler forks, or allocates: the handler gets
 * the lock as well, here and in the child. Who held it before is told so by zm_lock_release: what it did since then
 * others may have done too, and it has to begin again. The result of take is for release.
 */
uintptr_t zm_lock_take(enum zm_lock_name name);
bool zm_lock_release(enum zm_lock_name name, uintptr_t token);

/*
 * For what can't be mended in a child, but must be whole when it is born: a thread takes all these locks before it
 * forks, but for one that it holds itself, in the call that a signal handler has interrupted. The child has none of
 * them taken. Pairs may be nested.
 */
void zm_lock_take_all(enum zm_lock_name first, enum zm_lock_name end);
void zm_lock_release_all(enum zm_lock_name first, enum zm_lock_name end);
bool zm_lock_has_all(void);

#endif
