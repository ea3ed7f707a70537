/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks made and freed while a thread is ending, in its keys' destructors; and all that with no key left over. */
#include "threads.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { THREADS = 16, BATCHES = 40, KEYS = 6 };

static pthread_key_t keys[KEYS];
static pthread_key_t first_use_key;

/* What a destructor is told through its key: how often it is still to come back, and its block. */
struct visit {
    pthread_key_t key;
    int rounds;
    void *block;
};

static struct visit visits[THREADS][KEYS];

/* Each round makes a block, frees the one before, and asks for one more round. The last block stays. */
static void visit_again(void *argument)
{
    struct visit *visit = argument;
    struct random random = seeded((uint64_t) visit->rounds);
    churn(&random, 2);
    zfree(visit->block);
    visit->block = zrealloc(zmalloc(10), 500);
    if (--visit->rounds > 0) {
        check(pthread_setspecific(visit->key, visit) == 0);
    }
}

static void *end_with_destructors(void *argument)
{
    size_t thread = (size_t) (uintptr_t) argument;
    for (size_t i = 0; i < KEYS; i++) {
        visits[thread][i] = (struct visit){.key = keys[i], .block = zmalloc(100)};
        /* More rounds than there are is allowed, too: then the system stops. */
        visits[thread][i].rounds =
            (int) (1 + (thread + i) % (THREAD_SANITIZER ? DESTRUCTOR_ROUNDS : DESTRUCTOR_ROUNDS + 1));
        check(pthread_setspecific(keys[i], &visits[thread][i]) == 0);
    }
    return NULL;
}

struct first_use {
    void *given;
    void *made;
};

static struct first_use first_uses[THREADS];

static void use_for_the_first_time(void *argument)
{
    struct first_use *use = argument;
    if (use->given != NULL) {
        zfree(use->given);
    }
    void *other = zmalloc(77);
    use->made = zmalloc(333);
    zfree(other);
}

static void *end_before_first_use(void *argument)
{
    check(pthread_setspecific(first_use_key, argument) == 0);
    return NULL;
}

/*
 * A thread whose first call is an allocation in the last round: nothing tells the library of its end. While its
 * memory is there, as on a stack of ours that serves no other thread, its counts are right all the same.
 */
enum { LAST_USERS = 8, OWN_STACK = 1 << 20 };

static pthread_key_t last_use_key;

struct last_use {
    int rounds;
    void *given;
    void *made;
};

static void use_in_the_last_round(void *argument)
{
    struct last_use *use = argument;
    if (--use->rounds > 0) {
        check(pthread_setspecific(last_use_key, use) == 0);
        return;
    }
    use->made = zmalloc(1000);
    use->made = zrealloc(use->made, 5000);
    zfree(use->given);
    zfree(zmalloc(300));
}

static void *end_before_last_use(void *argument)
{
    check(pthread_setspecific(last_use_key, argument) == 0);
    return NULL;
}

static void use_for_the_first_time_in_the_last_round(void)
{
    size_t before = zmalloc_used_memory();
    size_t left = 0;
    static struct last_use uses[LAST_USERS];
    for (size_t i = 0; i < LAST_USERS; i++) {
        uses[i] = (struct last_use){.rounds = DESTRUCTOR_ROUNDS, .given = zmalloc(200)};
        void *stack = mmap(NULL, OWN_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(stack != MAP_FAILED);
        pthread_attr_t attributes;
        check(pthread_attr_init(&attributes) == 0);
        check(pthread_attr_setstack(&attributes, stack, OWN_STACK) == 0);
        join(start_with(&attributes, end_before_last_use, &uses[i]));
        check(uses[i].rounds == 0 && uses[i].made != NULL);
        left += zmalloc_size(uses[i].made);
        check_used(before + left);
    }
    for (size_t i = 0; i < LAST_USERS; i++) {
        zfree(uses[i].made);
    }
    check_used(before);
}

static void run_batch(void)
{
    pthread_t ending[THREADS];
    pthread_t starting[THREADS];
    size_t before = zmalloc_used_memory();
    for (size_t i = 0; i < THREADS; i++) {
        first_uses[i].given = i % 2 == 0 ? zmalloc(50) : NULL;
        ending[i] = start(end_with_destructors, (void *) (uintptr_t) i);
        starting[i] = start(end_before_first_use, &first_uses[i]);
    }
    size_t left = 0;
    for (size_t i = 0; i < THREADS; i++) {
        join(ending[i]);
        join(starting[i]);
        left += zmalloc_size(first_uses[i].made);
        for (size_t key = 0; key < KEYS; key++) {
            left += zmalloc_size(visits[i][key].block);
        }
    }
    check_used(before + left);
    for (size_t i = 0; i < THREADS; i++) {
        zfree(first_uses[i].made);
        for (size_t key = 0; key < KEYS; key++) {
            zfree(visits[i][key].block);
        }
    }
    check_used(before);
}

static void take_all_keys(void)
{
    pthread_key_t key;
    int taken = 0;
    while (pthread_key_create(&key, NULL) == 0) {
        taken++;
    }
    check(taken > 0);
}

static void run_batches(unsigned batches)
{
    for (unsigned batch = 0; batch < batches; batch++) {
        run_batch();
    }
}

int main(int argc, char **argv)
{
    unsigned batches = BATCHES * scale_from(argc, argv);
    check(pthread_key_create(&first_use_key, use_for_the_first_time) == 0);
    check(pthread_key_create(&last_use_key, use_in_the_last_round) == 0);
    for (size_t i = 0; i < KEYS; i++) {
        check(pthread_key_create(&keys[i], visit_again) == 0);
    }
    /* Before the first z* call: the child has no key left for it. ThreadSanitizer allows no threads there. */
    pid_t child = THREAD_SANITIZER ? 1 : fork();
    check(child >= 0);
    if (child == 0) {
        take_all_keys();
    }
    run_batches(batches);
    if (THREAD_SANITIZER) {
        return 0;
    }
    if (child > 0) {
        int status;
        check(waitpid(child, &status, 0) == child);
        check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    use_for_the_first_time_in_the_last_round();
    run_batches(1);
    return 0;
}
