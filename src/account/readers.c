/* SPDX-License-Identifier: BSD-3-Clause */
/* Readers: counted by phases, of which there are two in turn. */
#include "account/readers.h"

#include "sync/backoff.h"

#include <stdatomic.h>

/*
 * Readers are counted by phases. A thread that ends turns the phase over and waits for the readers of the old one;
 * new ones can't keep it waiting. The second turn is for a reader that had seen the phase and not yet counted
 * itself at the first.
 */
static atomic_uint phase;
static atomic_uint readers[2];
static atomic_flag turning = ATOMIC_FLAG_INIT;

/*
 * A fork in a signal handler amid a reading: in the child that reader is not counted any more. So the count of forks
 * stands in the same word, above that of readers: what was counted before a fork can't be taken off after it.
 */
enum { A_FORK = 1 << 20 };

struct zm_reader zm_readers_enter(void)
{
    unsigned now = atomic_load(&phase) % 2;
    return (struct zm_reader){.phase = now, .forks = atomic_fetch_add(&readers[now], 1) / A_FORK};
}

void zm_readers_leave(struct zm_reader visit)
{
    unsigned count = atomic_load(&readers[visit.phase]);
    while (count / A_FORK == visit.forks && !atomic_compare_exchange_weak(&readers[visit.phase], &count, count - 1)) {
    }
}

void zm_readers_synchronize(void)
{
    unsigned pauses = 0;
    while (atomic_flag_test_and_set(&turning)) {
        zm_backoff(&pauses);
    }
    for (int turn = 0; turn < 2; turn++) {
        unsigned old = atomic_fetch_add(&phase, 1) % 2;
        while (atomic_load(&readers[old]) % A_FORK != 0) {
            zm_backoff(&pauses);
        }
    }
    atomic_flag_clear(&turning);
}

void zm_readers_start_child(void)
{
    for (int i = 0; i < 2; i++) {
        atomic_store(&readers[i], (atomic_load(&readers[i]) / A_FORK + 1) * A_FORK);
    }
    atomic_flag_clear(&turning);
}
