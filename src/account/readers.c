/* SPDX-License-Identifier: BSD-3-Clause */
/* Readers: counted by phases, of which there are two in turn. */
#include "account/readers.h"

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
 * A fork in a signal handler amid a reading: in the child that reader is not counted any more. So the count of forks
 * stands in the same word, above that of readers: what was counted before a fork can't be taken off after it.
 */
enum { A_FORK = 1 << 20 };

struct zm_reader zm_readers_enter(void)
{
    unsigned now = (unsigned) (atomic_load(&turns) % 2);
    return (struct zm_reader){.phase = now, .forks = atomic_fetch_add(&readers[now], 1) / A_FORK};
}

void zm_readers_leave(struct zm_reader visit)
{
    unsigned count = atomic_load(&readers[visit.phase]);
    while (count / A_FORK == visit.forks && !atomic_compare_exchange_weak(&readers[visit.phase], &count, count - 1)) {
    }
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

void zm_readers_start_child(void)
{
    for (int i = 0; i < 2; i++) {
        atomic_store(&readers[i], (atomic_load(&readers[i]) / A_FORK + 1) * A_FORK);
    }
}
