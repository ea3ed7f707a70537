/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults that keep a new thread from being counted. */
#include "operations.h"

#include <pthread.h>

/* More threads at once than there are slots from the start: the next one needs pages for more. */

enum { SLOTS_AT_START = 32 };

static pthread_barrier_t all_there;
static pthread_barrier_t all_may_go;

static void *take_slot(void *unused)
{
    (void) unused;
    zfree(zmalloc(100));
    zfree(zmalloc(100));
    pthread_barrier_wait(&all_there);
    pthread_barrier_wait(&all_may_go);
    return NULL;
}

/* Live or not, a thread is counted; and a child of it goes on from there. */
static void allocate_and_fork(void)
{
    allocate();
    if (trial.struck) {
        pass_in_child(use_in_child);
    }
}

static void be_one_too_many(void)
{
    pthread_t threads[SLOTS_AT_START - 1]; /* and the first one */
    pthread_barrier_init(&all_there, NULL, SLOTS_AT_START);
    pthread_barrier_init(&all_may_go, NULL, SLOTS_AT_START);
    for (size_t i = 0; i < LENGTH(threads); i++) {
        check(pthread_create(&threads[i], NULL, take_slot, NULL) == 0);
    }
    pthread_barrier_wait(&all_there);
    choose_operation(&(struct operation){trial.call, allocate_and_fork, NULL});
    fail_by(trial.fault, trial.persistent, operate_in_thread);
    pthread_barrier_wait(&all_may_go);
    for (size_t i = 0; i < LENGTH(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    check_account(NULL);
}

/* In a child each time: once there are pages for more slots, they stay. */
void try_without_slots(void)
{
    static const char *const names[] = {"everything", "mmap ENOMEM", "pthread_setspecific ENOMEM"};
    for (size_t w = 0; w < LENGTH(ways); w++) {
        choose_way(&ways[w], 100);
        name_trial(ways[w].name, "in a thread without a slot");
        for (size_t i = 0; i < LENGTH(names); i++) {
            trial.fault = find_fault(names[i]);
            for (trial.persistent = 0; trial.persistent < 2; trial.persistent++) {
                pass_in_child(be_one_too_many);
            }
        }
    }
}

static int takes_key;
static int maps;

/* It asks for the key twice, at its first block and again at its second: nothing was kept of the first time. */
static void *live_without_key(void *unused)
{
    (void) unused;
    faults_prepare_thread(takes_key);
    faults_arm(takes_key, 1, true);
    zfree(zmalloc(100));
    zfree(zmalloc(100));
    check(faults_disarm() == 2);
    return NULL;
}

static void *live_without_more_slots(void *unused)
{
    (void) unused;
    faults_prepare_thread(maps);
    faults_arm(maps, 1, true);
    zfree(zmalloc(100));
    check(faults_disarm() == 0);
    return NULL;
}

/* A thread that can't be told when it ends gives its slot back: there is still one for who comes later. */
static void lose_no_slot(void)
{
    pthread_t thread;
    takes_key = find_fault("pthread_setspecific ENOMEM");
    maps = find_fault("mmap ENOMEM");
    for (int i = 0; i <= SLOTS_AT_START; i++) {
        bool is_last = i == SLOTS_AT_START;
        check(pthread_create(&thread, NULL, is_last ? live_without_more_slots : live_without_key, NULL) == 0);
        pthread_join(thread, NULL);
    }
    check_account(NULL);
}

void try_to_lose_slots(void)
{
    name_trial("zmalloc", "in threads that can't be told when they end");
    pass_in_child(lose_no_slot);
}
