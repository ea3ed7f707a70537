/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another thread forks while a thread is in the destructor of a key that is older than the library's. In the child a
 * new thread may get that thread's memory, and with it the value of the library's key: at its end the library is told
 * of a slot that is not its own.
 */
#include "threads.h"

#include <sys/wait.h>

enum { NEW_THREADS = 8, ROUNDS = 20 };

static pthread_key_t early_key;
static atomic_int in_destructor;
static atomic_bool may_go_on;

static void stay(void *value)
{
    if (value == &early_key) {
        atomic_fetch_add(&in_destructor, 1);
        while (!atomic_load(&may_go_on)) {
            usleep(100);
        }
    }
}

/* Older than the key of a library, as it is in the program; and, where that is shared, of one that has none yet. */
static bool has_early_key;
static void make_early_key(void)
{
    has_early_key = pthread_key_create(&early_key, stay) == 0;
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = make_early_key;

static void *allocate_and_end(void *argument)
{
    zfree(zmalloc(100));
    zfree(zmalloc(200));
    check(pthread_setspecific(early_key, &early_key) == 0);
    return argument;
}

/* Makes the C library look at its keys; and one thread of two has the library's for itself. */
static void *end_with_key(void *argument)
{
    check(pthread_setspecific(early_key, &may_go_on) == 0);
    if (argument != NULL) {
        void *block = zmalloc(5000);
        zfree(zmalloc(50));
        zfree(block);
    }
    return NULL;
}

static void live_in_child(void)
{
    alarm(100);
    size_t used = zmalloc_used_memory();
    for (int round = 0; round < 3; round++) {
        pthread_t threads[NEW_THREADS];
        for (uintptr_t i = 0; i < NEW_THREADS; i++) {
            threads[i] = start(end_with_key, i % 2 == 0 ? NULL : &used);
        }
        for (size_t i = 0; i < NEW_THREADS; i++) {
            join(threads[i]);
        }
        check_used(used);
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    if (THREAD_SANITIZER || ADDRESS_SANITIZER || is_emulated()) {
        puts("skipped: under a sanitizer or emulation no child of many threads may have threads");
        return SKIPPED;
    }
    if (!has_early_key) {
        puts("skipped: this C library has nothing that comes before the libraries' constructors");
        return SKIPPED;
    }
    void *block = zmalloc(10);
    for (unsigned round = 0; round < ROUNDS * scale_from(argc, argv); round++) {
        int expected = 3;
        pthread_t threads[3];
        atomic_store(&in_destructor, 0);
        atomic_store(&may_go_on, false);
        for (int i = 0; i < expected; i++) {
            threads[i] = start(allocate_and_end, NULL);
        }
        while (atomic_load(&in_destructor) < expected) {
            usleep(100);
        }
        pid_t child = fork();
        check(child >= 0);
        if (child == 0) {
            live_in_child();
        }
        int status;
        check(waitpid(child, &status, 0) == child);
        check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        atomic_store(&may_go_on, true);
        for (int i = 0; i < expected; i++) {
            join(threads[i]);
        }
    }
    zfree(block);
    return 0;
}
