/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread from its first block to its end: its gate, which is closed before and after, and moved by all reasons
 * meanwhile; and what readers are told of it.
 */
#include "account/account.h"
#include "account/readers.h"
#include "account/roster.h"

#include "../c/threads.h"

/* No part of the library has these. */
enum { ONE = 1 << 6, ANOTHER = 1 << 7 };

static bool could_be_fast(void)
{
    return ZM_COUNTED_BY_ALLOCATOR || zm_heap_grants();
}

static bool is_fast(size_t gate)
{
    return gate == (could_be_fast() ? (size_t) ZM_HEAP_UNALIGNED_UP_TO : ZM_SLOW_ALWAYS);
}

/* What all of them let through: a size that is too small to be aligned, or that no table has, is not among them. */
static bool all_are_fast(void)
{
    return zm_gate_sizes() == (could_be_fast() ? ZM_HEAP_GRANTS_UP_TO - ZM_HEAP_UNALIGNED_UP_TO : 0);
}

static pthread_key_t key;

struct ending {
    struct zm_slot *slot;
    size_t stamp;
    bool in_child;
    atomic_int rounds;
};

/* Whoever comes or goes settles the child first, if this is one. */
static void become_unsettled(void)
{
    atomic_store(&zm_child_page->is_settled, false);
}

static bool is_settled(void)
{
    return atomic_load(&zm_child_page->is_settled);
}

/* The roster holds, so the thread is not about to come or to go. */
static bool has_roster(void)
{
    struct zm_roster roster;
    struct zm_reader reader = zm_readers_enter();
    bool has = zm_roster_get(&roster) && zm_roster_holds(&roster);
    return zm_readers_leave(reader) && has;
}

/* In the second round of destructors the library's has run. */
static void check_end(void *value)
{
    struct ending *ending = value;
    if (atomic_fetch_add(&ending->rounds, 1) == 0) {
        check(pthread_setspecific(key, ending) == 0);
        return;
    }
    check(is_settled() && zm_child_stamp() != ending->stamp && !atomic_load(&ending->slot->counters.steady));
    check(zm_gate() == ZM_NOT_LIVE && has_roster());
    zm_gate_set(ONE, true);
    check(zm_gate() == ZM_NOT_LIVE);
    zm_gate_set(ONE, false);
    check(zm_gate() == ZM_NOT_LIVE);
    check(atomic_load(&ending->slot->thread) == NULL && zm_slots_own() == NULL);
    zfree(zmalloc(100));
    check(zm_gate() == ZM_NOT_LIVE);
}

/* No thread is live: the others' gate follows the reasons all the same. */
static void *live_and_end(void *argument)
{
    struct ending *ending = argument;
    check(zm_gate() == ZM_NOT_LIVE && !zm_account_is_live());
    zm_gate_set(ONE, true);
    check(zm_gate_sizes() == 0);
    zm_gate_set(ONE, false);
    check(zm_gate() == ZM_NOT_LIVE && all_are_fast());
    size_t stamp = zm_child_stamp();
    if (ending->in_child) {
        become_unsettled();
    }
    void *block = zmalloc(100);
    check(is_settled() && zm_child_stamp() != stamp);
    check(is_fast(zm_gate()) && zm_account_is_live() && !zm_self.registers);
    check(has_roster());
    check(ZM_COUNTED_BY_ALLOCATOR || atomic_load(&zm_self.allocated) == zmalloc_size(block));
    zfree(block);
    check(atomic_load(&zm_self.freed) == atomic_load(&zm_self.allocated));
    check(atomic_load(&zm_self.allocated_apart) == 0 && atomic_load(&zm_self.freed_apart) == 0);
    ending->slot = zm_slots_own();
    check(atomic_load(&ending->slot->thread) == &zm_self);
    check(pthread_setspecific(key, ending) == 0);
    ending->stamp = zm_child_stamp();
    if (ending->in_child) {
        become_unsettled();
    }
    return NULL;
}

static void it_is_open_between_first_block_and_end(void)
{
    check(pthread_key_create(&key, check_end) == 0);
    for (int in_child = 0; in_child < 2; in_child++) {
        struct ending ending = {.in_child = in_child, .rounds = 0};
        join(start(live_and_end, &ending));
        check(atomic_load(&ending.rounds) == 2);
    }
}

static atomic_bool may_end;

static void *live(void *argument)
{
    _Atomic(struct zm_thread *) *self = argument;
    zfree(zmalloc(100));
    atomic_store(self, &zm_self);
    while (!atomic_load(&may_end)) {
        usleep(100);
    }
    return NULL;
}

static pthread_t start_living(_Atomic(struct zm_thread *) *self)
{
    atomic_store(self, NULL);
    pthread_t thread = start(live, self);
    while (atomic_load(self) == NULL) {
        usleep(100);
    }
    return thread;
}

/* One that was live before, and one that goes live while there is a reason. */
static void all_reasons_are_gone_before_it_is_fast(void)
{
    _Atomic(struct zm_thread *) before;
    _Atomic(struct zm_thread *) amid;
    zfree(zmalloc(100));
    pthread_t first = start_living(&before);
    check(is_fast(zm_gate()) && is_fast(zm_gate_of(before)) && all_are_fast());
    zm_gate_set(ONE, true);
    check(zm_gate() == ZM_SLOW_ALWAYS && zm_gate_of(before) == ZM_SLOW_ALWAYS && zm_gate_sizes() == 0);
    pthread_t second = start_living(&amid);
    check(zm_gate_of(amid) == ZM_SLOW_ALWAYS && zm_gate_sizes() == 0);
    zm_gate_set(ANOTHER, true);
    zm_gate_set(ANOTHER, true);
    check(zm_gate_has(ONE) && zm_gate_has(ANOTHER) && !zm_gate_has(ZM_GATE_LIMIT));
    zm_gate_set(ONE, false);
    check(!zm_gate_has(ONE) && zm_gate_has(ANOTHER));
    check(zm_gate() == ZM_SLOW_ALWAYS && zm_gate_of(before) == ZM_SLOW_ALWAYS && zm_gate_sizes() == 0);
    zm_gate_set(ANOTHER, false);
    check(is_fast(zm_gate()) && is_fast(zm_gate_of(before)) && is_fast(zm_gate_of(amid)) && all_are_fast());
    atomic_store(&may_end, true);
    join(first);
    join(second);
}

int main(void)
{
    alarm(60);
    check(zm_gate_sizes() == 0);
    it_is_open_between_first_block_and_end();
    all_reasons_are_gone_before_it_is_fast();
    return 0;
}
