/* SPDX-License-Identifier: BSD-3-Clause */
/* Readers: counted by phases, of which there are two in turn. */
#include "account/readers.h"

#include "account/gate.h"
#include "sync/child.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/*
 * The number of turns, modulo 2, is the phase in which new readers count themselves. Anybody may make a turn once the
 * other phase has been seen without readers, so new readers can't delay it. There is no leader: a turn serves all who
 * wait, and a child that is forked in the middle of a wait finds no lock held.
 */
static _Atomic size_t turns;
static atomic_uint readers[2];

/*
 * How many turns a grace period has. Who makes the first may have looked at the readers before the wait began. Who
 * makes the second and the third began to look after it: so each phase has been seen without readers, a reader
 * included that had seen the phase before and counted itself later.
 */
enum { TURNS = 3 };

/*
 * A fork in a signal handler, in the middle of a reading: the child goes on with that reading, and has no other. So
 * each thread has a count of its own readings, which is all that a child begins with. Both words have the number of
 * forks above the count, so whoever changes one of them notices a fork since it was looked at.
 */
enum { A_FORK = 1 << 20 };

static bool add_one(atomic_uint *word, unsigned seen)
{
    return atomic_compare_exchange_strong(word, &seen, seen + 1);
}

/* The thread's own count says whether the reading is counted: a fork may come between any two instructions here. */
static struct zm_reader enter_amid_others(unsigned phase, unsigned before)
{
    atomic_uint *own = &zm_self.readings[phase];
    for (;;) {
        unsigned all = atomic_load(&readers[phase]);
        unsigned mine = atomic_load(own);
        if (mine / A_FORK != all / A_FORK) {
            atomic_compare_exchange_strong(own, &mine, all / A_FORK * A_FORK + mine % A_FORK);
        } else if (mine % A_FORK > before) {
            return (struct zm_reader){.phase = phase, .forks = mine / A_FORK};
        } else if (add_one(&readers[phase], all)) {
            add_one(own, mine);
        }
    }
}

/* Mostly nothing comes in between. */
struct zm_reader zm_readers_enter(void)
{
    zm_child_check();
    unsigned phase = (unsigned) (atomic_load(&turns) % 2);
    unsigned all = atomic_load(&readers[phase]);
    unsigned mine = atomic_load(&zm_self.readings[phase]);
    if (mine / A_FORK == all / A_FORK && add_one(&readers[phase], all) && add_one(&zm_self.readings[phase], mine)) {
        return (struct zm_reader){.phase = phase, .forks = mine / A_FORK};
    }
    return enter_amid_others(phase, mine % A_FORK);
}

bool zm_readers_leave(struct zm_reader reader)
{
    unsigned forks = atomic_fetch_sub(&zm_self.readings[reader.phase], 1) / A_FORK;
    unsigned all = atomic_load(&readers[reader.phase]);
    while (all / A_FORK == forks && all % A_FORK > 0 &&
           !atomic_compare_exchange_weak(&readers[reader.phase], &all, all - 1)) {
    }
    return forks == reader.forks;
}

/* Sleeps twice as long each time: thousands that wait must leave the processors to the readers that they wait for. */
static void back_off(unsigned *pauses)
{
    enum { YIELDS = 4, NANOSECONDS = 50000, DOUBLINGS = 9 };
    if (*pauses < YIELDS) {
        sched_yield();
    } else {
        nanosleep(&(struct timespec){.tv_nsec = NANOSECONDS << (*pauses - YIELDS)}, NULL);
    }
    *pauses += *pauses < YIELDS + DOUBLINGS;
}

static bool is_empty(unsigned phase)
{
    return atomic_load(&readers[phase]) % A_FORK == 0;
}

void zm_readers_synchronize(void)
{
    size_t first = atomic_load(&turns);
    unsigned pauses = 0;
    for (size_t turn = first; turn - first < TURNS; turn = atomic_load(&turns)) {
        if (is_empty((turn + 1) % 2)) {
            atomic_compare_exchange_strong(&turns, &turn, turn + 1);
        } else {
            back_off(&pauses);
        }
    }
}

unsigned zm_readers_own(unsigned phase)
{
    return atomic_load(&zm_self.readings[phase]) % A_FORK;
}

void zm_readers_start_child(const unsigned counts[2])
{
    for (unsigned i = 0; i < 2; i++) {
        unsigned forks = (atomic_load(&readers[i]) / A_FORK + 1) * A_FORK;
        atomic_store(&readers[i], forks + counts[i]);
    }
}

void zm_readers_adopt_own(void)
{
    for (unsigned i = 0; i < 2; i++) {
        unsigned forks = atomic_load(&readers[i]) / A_FORK * A_FORK;
        atomic_store(&zm_self.readings[i], forks + zm_readers_own(i));
    }
}

void zm_readers_forget(unsigned phase, unsigned count)
{
    atomic_fetch_sub(&readers[phase], count);
}
