/* SPDX-License-Identifier: BSD-3-Clause */
/* Which thread forked, and the end of all others in the child. */
#include "account/fork.h"

#include "account/readers.h"
#include "account/roster.h"
#include "account/slots.h"
#include "os/os.h"
#include "sync/backoff.h"

#include <pthread.h>
#include <stddef.h>

/*
 * The threads that are in fork. In a child one of them is there, and the others are not. Another thread may find
 * itself in a new child first, as the handler of another library may have started one. It tells who forked by the
 * number that the kernel has for that thread. Where there is no such number it spares all whose memory is their own,
 * until the thread that forked comes to its handler: then that memory may be a new thread's.
 *
 * No lock is held over the fork. A thread that waited for it might be one that another library's handler waits for.
 */
enum { FORKERS = 64 };

struct forker {
    _Atomic(struct zm_thread *) thread;
    pthread_t id;
    struct zm_slot *slot; /* or NULL */
    unsigned readings[2]; /* that a signal handler interrupted to fork */
    atomic_bool is_taken;
    bool is_inherited; /* by this child: noted before it was settled */
    bool is_counted;   /* its readings are among those that the child began with */
};
static struct forker forkers[FORKERS];

static struct forker *take(void)
{
    unsigned pauses = 0;
    for (size_t i = 0;; i = (i + 1) % FORKERS) {
        if (!atomic_exchange(&forkers[i].is_taken, true)) {
            return &forkers[i];
        }
        if (i == FORKERS - 1) {
            zm_backoff(&pauses);
        }
    }
}

static void set_free(struct forker *forker)
{
    atomic_store(&forker->thread, NULL);
    atomic_store(&forker->is_taken, false);
}

static struct forker *find(const struct zm_thread *thread)
{
    for (size_t i = 0; i < FORKERS; i++) {
        if (atomic_load(&forkers[i].thread) == thread) {
            return &forkers[i];
        }
    }
    return NULL;
}

bool zm_fork_has_ended(const struct zm_thread *thread, struct zm_child_stage stage)
{
    bool may_fork = find(thread) != NULL;
    return thread != &zm_self && ((stage.first && !may_fork) || (stage.last && may_fork));
}

/* The memory of a thread that is not in the child is there until another thread gets it for its stack. */
static void note_sums(struct zm_slot *slot, void *context)
{
    (void) context;
    atomic_store(&slot->before_fork.allocated, zm_counters_allocated(&slot->counters));
    atomic_store(&slot->before_fork.freed, zm_counters_freed(&slot->counters));
}

static void before_fork(void)
{
    zm_child_check();
    struct zm_reader reader = zm_readers_enter();
    zm_slots_each(note_sums, NULL);
    zm_readers_leave(reader);

    struct forker *forker = take();
    forker->id = pthread_self();
    forker->slot = zm_slots_own();
    forker->readings[0] = zm_readers_own(0);
    forker->readings[1] = zm_readers_own(1);
    atomic_store(&forker->thread, &zm_self);
}

static void after_fork_in_parent(void)
{
    struct forker *own = find(&zm_self);
    if (own != NULL) {
        set_free(own);
    }
}

static bool is_there(const struct zm_slot *slot)
{
    const struct zm_thread *owner = atomic_load(&slot->owner);
    const struct zm_base *living = zm_counters_living(&slot->counters);
    return zm_os_is_mapped(owner, sizeof(*owner)) && atomic_load(&owner->slot) == slot &&
           (living == NULL || (zm_os_is_mapped((const void *) living->allocated, sizeof(size_t)) &&
                               zm_os_is_mapped((const void *) living->freed, sizeof(size_t))));
}

static void end_thread(struct zm_slot *slot)
{
    if (is_there(slot)) {
        zm_counters_detach_in_child(&slot->counters);
    } else {
        zm_counters_detach_lost(&slot->counters, &slot->before_fork);
    }
    atomic_store(&slot->thread, NULL);
    zm_slots_set_free(slot);
}

/* The slot of the thread that forked, in a child where that is known. */
static struct zm_slot *left;

static void end_unless_left(struct zm_slot *slot)
{
    if (slot != left) {
        end_thread(slot);
    }
}

static bool is_known(const struct forker *forker)
{
    return atomic_load(&forker->thread) != NULL;
}

/* Nor did one fork whose memory is another's, or nobody's; its slot may be another's soon. */
static void end_unless_it_forks(struct zm_slot *slot)
{
    for (size_t i = 0; i < FORKERS; i++) {
        if (is_known(&forkers[i]) && forkers[i].slot == slot) {
            if (is_there(slot)) {
                return;
            }
            forkers[i].slot = NULL;
        }
    }
    end_thread(slot);
}

/* It may have got it in a handler after the note. */
static struct zm_slot *slot_of(const struct forker *forker)
{
    struct zm_thread *thread = atomic_load(&forker->thread);
    struct zm_slot *slot = atomic_load(&thread->slot);
    return slot != NULL && atomic_load(&slot->owner) == thread ? slot : NULL;
}

/* Or NULL. What this process had inherited itself is of a fork before. */
static struct forker *find_who_forked(void)
{
    for (size_t i = 0; i < FORKERS; i++) {
        if (is_known(&forkers[i]) && !forkers[i].is_inherited && zm_os_is_first_thread(forkers[i].id)) {
            return &forkers[i];
        }
    }
    return NULL;
}

/* False: no handler ran before this fork. */
static bool inherit_forkers(unsigned readings[2])
{
    bool any = false;
    for (size_t i = 0; i < FORKERS; i++) {
        struct forker *forker = &forkers[i];
        forker->is_inherited = atomic_load(&forker->is_taken);
        forker->is_counted = is_known(forker);
        if (forker->is_counted) {
            readings[0] += forker->readings[0];
            readings[1] += forker->readings[1];
            any = true;
        }
    }
    return any;
}

/* That thread is the one that is there; the memory, and the slot, of any other may be a new thread's soon. */
static void end_all_but(const struct forker *who, struct zm_slot *slot, const unsigned readings[2])
{
    for (size_t i = 0; i < FORKERS; i++) {
        forkers[i].is_counted = false;
        forkers[i].slot = &forkers[i] == who ? slot : NULL;
    }
    zm_readers_start_child(readings);
    left = slot;
    zm_slots_each_owned(end_unless_left);
}

/*
 * A thread that has a slot before the child is settled has it from the parent: it is the one that forked. If no
 * handler ran, as after _Fork, and this thread has no slot, nobody knows who did, and all stay as they are.
 */
static void end_others(bool is_last)
{
    unsigned readings[2] = {0, 0};
    const struct forker *who = find_who_forked();
    bool any = inherit_forkers(readings);
    if (is_last || zm_slots_own() != NULL) {
        end_all_but(NULL, zm_slots_own(), (const unsigned[]){zm_readers_own(0), zm_readers_own(1)});
        zm_readers_adopt_own();
    } else if (who != NULL) {
        end_all_but(who, slot_of(who), who->readings);
    } else {
        zm_readers_start_child(readings);
        if (any) {
            zm_slots_each_owned(end_unless_it_forks);
        }
    }
}

/* Now that it is known who forked: nobody else did in this child. */
static void end_forker(struct forker *forker)
{
    struct zm_thread *thread = atomic_load(&forker->thread);
    if (thread != NULL && thread != &zm_self) {
        if (forker->slot != NULL && atomic_load(&forker->slot->owner) == thread) {
            end_thread(forker->slot);
        }
        if (forker->is_counted) {
            zm_readers_forget(0, forker->readings[0]);
            zm_readers_forget(1, forker->readings[1]);
        }
    }
    forker->is_inherited = false;
    set_free(forker);
}

static void start_child(struct zm_child_stage stage)
{
    zm_roster_start_child(stage.first, stage.last || zm_slots_own() != NULL);
    if (stage.first) {
        end_others(stage.last);
    }
    if (!stage.last) {
        return;
    }
    for (size_t i = 0; i < FORKERS; i++) {
        if (forkers[i].is_inherited) {
            end_forker(&forkers[i]);
        }
    }
    zm_readers_adopt_own();
}

int zm_fork_start(void)
{
    zm_child_start();
    zm_child_set_hook(ZM_CHILD_ACCOUNT, start_child);
    return pthread_atfork(before_fork, after_fork_in_parent, zm_child_handle);
}
