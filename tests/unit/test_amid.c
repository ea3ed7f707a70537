/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A signal handler in the middle of a call, at chosen places of the library: it forks, or allocates. The linker puts
 * calls of this file there, as a signal would come by chance only. Parent and child go on with the call, and both are
 * exact.
 */
#include "account/account.h"
#include "account/readers.h"
#include "account/slots.h"

#include "../c/threads.h"

#include <signal.h>
#include <sys/wait.h>

enum { MIB = 1 << 20, SECONDS_TO_HANG = 60 };

bool __real_zm_readers_leave(struct zm_reader reader);
bool __wrap_zm_readers_leave(struct zm_reader reader);
struct zm_slot *__real_zm_slots_take(void);
struct zm_slot *__wrap_zm_slots_take(void);

/* What the handler does, and after how many calls of a kind from here. */
static void (*act)(void);
static _Thread_local unsigned until_reading;
static _Thread_local unsigned until_slot;

static size_t kept;
static bool is_child;

static void come_after(unsigned *left)
{
    if (*left > 0 && --*left == 0) {
        act();
    }
}

bool __wrap_zm_readers_leave(struct zm_reader reader)
{
    come_after(&until_reading);
    return __real_zm_readers_leave(reader);
}

struct zm_slot *__wrap_zm_slots_take(void)
{
    come_after(&until_slot);
    return __real_zm_slots_take();
}

static void fork_here(void)
{
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        alarm(SECONDS_TO_HANG);
        is_child = true;
        return;
    }
    int status;
    check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void allocate_here(void)
{
    void *block = zmalloc(3000);
    check_used(kept + zmalloc_size(block));
    zfree(block);
}

/* Nothing is reserved but for what is in use: the limit can be reached, and holds. */
static void check_limit(void)
{
    enum { ROOM = 300000, BLOCK = 5000, MOST = ROOM / BLOCK };
    void *blocks[MOST + 1];
    size_t count = 0;
    size_t limit = zmalloc_used_memory() + ROOM;
    check(zmalloc_set_limit(limit) == 0 && zmalloc_limit() == limit);
    while ((blocks[count] = ztrymalloc(BLOCK)) != NULL) {
        count++;
        check(count <= MOST);
    }
    check(zmalloc_used_memory() <= limit && zmalloc_used_memory() + 2 * BLOCK > limit);
    while (count > 0) {
        zfree(blocks[--count]);
    }
    check(zmalloc_set_limit(0) == 0);
}

static void *live_shortly(void *argument)
{
    allocate_here();
    return argument;
}

static void check_process(void)
{
    check_used(kept);
    check_limit();
    join(start(live_shortly, NULL));
    check_used(kept);
}

static void read_all(void)
{
    check_used(kept);
    check(zmalloc_peak_memory() >= kept);
    check(zmalloc_total_allocated() - zmalloc_total_freed() == kept);
}

static void allocate_within_limit(void)
{
    check(zmalloc_set_limit(kept + 5 * MIB) == 0);
    void *block = ztrymalloc(4 * MIB);
    check(block != NULL && ztrymalloc(2 * MIB) == NULL);
    void *small = ztrymalloc(100);
    check(small != NULL);
    zfree(small);
    zfree(block);
    check(zmalloc_set_limit(0) == 0);
}

static void count_call(size_t used, void *calls)
{
    check(used > kept + MIB);
    ++*(int *) calls;
}

static void cross_soft_limit(void)
{
    int calls = 0;
    check(zmalloc_set_soft_limit(kept + MIB, MIB / 2, count_call, &calls) == 0);
    for (int i = 1; i <= 2; i++) {
        zfree(zmalloc(2 * MIB));
        check(calls == i);
    }
    check(zmalloc_set_soft_limit(0, 0, NULL, NULL) == 0);
}

/* At each of its readings in turn. */
static void interrupt_readings(void (*body)(void))
{
    unsigned nth = 0;
    do {
        until_reading = ++nth;
        body();
        if (is_child) {
            check_process();
            _exit(0);
        }
    } while (until_reading == 0);
    check(nth > 1);
    until_reading = 0;
    check_process();
}

static void interrupt_all(void)
{
    act = fork_here;
    interrupt_readings(read_all);
    interrupt_readings(allocate_within_limit);
    interrupt_readings(cross_soft_limit);
}

static void *interrupt_thread(void *argument)
{
    interrupt_all();
    return argument;
}

/* As it is after the last round of destructors, or where there is no memory for a slot. */
static void *interrupt_thread_without_slot(void *argument)
{
    zm_self.ends = true;
    interrupt_all();
    check(zm_slots_own() == NULL);
    zm_slots_give_back(); /* none */
    check_used(kept);
    return argument;
}

static void *allocate_first(void *argument)
{
    until_slot = 1;
    void *block = zmalloc(500);
    check(until_slot == 0 && zm_account_is_live());
    check_used(kept + zmalloc_size(block));
    size_t allocated = zmalloc_thread_allocated();
    check(allocated - zmalloc_thread_freed() == zmalloc_size(block));
    zm_account_register(); /* as goes on who was interrupted by a handler that has registered the thread */
    check(zm_account_is_live() && zmalloc_thread_allocated() == allocated);
    zfree(block);
    if (is_child) {
        check_process();
        _exit(0);
    }
    return argument;
}

static void interrupt_registrations(void)
{
    act = allocate_here;
    join(start(allocate_first, NULL));
    check_process();
    act = fork_here;
    join(start(allocate_first, NULL));
    check_process();
}

int main(void)
{
    if (THREAD_SANITIZER || ADDRESS_SANITIZER || is_emulated()) {
        puts("skipped: under a sanitizer or emulation no child of many threads may have threads");
        return SKIPPED;
    }
    alarm(SECONDS_TO_HANG * 2);
    void *block = zmalloc(777);
    kept = zmalloc_used_memory();
    interrupt_all();
    join(start(interrupt_thread, NULL));
    join(start(interrupt_thread_without_slot, NULL));
    interrupt_registrations();
    check_used(kept);
    zfree(block);
    return 0;
}
