/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that knows nothing of the library loads it, uses it on threads, and unloads it while they live. With a
 * second argument it first takes all keys of threads but so many: what was counted is right all the same.
 */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, ROUNDS = 5 };

#define check(condition) check_at(__LINE__, (condition), #condition)

static void check_at(int line, int holds, const char *condition)
{
    if (!holds) {
        const char *reason = dlerror();
        fprintf(stderr, "line %d: not so: %s (%s)\n", line, condition, reason != NULL ? reason : "");
        exit(1);
    }
}

static void *(*allocate)(size_t size);
static void (*release)(void *block);
static size_t (*used)(void);

static size_t (*size_of)(void *block);

static pthread_barrier_t loaded;
static pthread_barrier_t in_use;
static pthread_barrier_t unloaded;

/* What is freed and what is left, in a thread of its own or while that ends. */
static void *use_a_little(void)
{
    void *block = allocate(1000);
    check(block != NULL);
    memset(block, 1, 1000);
    release(allocate(50));
    release(block);
    void *left = allocate(200);
    check(left != NULL);
    return left;
}

static void *live_shortly(void *argument)
{
    (void) argument;
    return use_a_little();
}

static void *use(void *argument)
{
    pthread_barrier_wait(&loaded);
    release(use_a_little());
    pthread_barrier_wait(&in_use);
    pthread_barrier_wait(&unloaded);
    return argument; /* and its keys' destructors run */
}

static void find(void *library, const char *name, void *function)
{
    void *address = dlsym(library, name);
    check(address != NULL);
    memcpy(function, &address, sizeof(address));
}

static void *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    check(library != NULL);
    find(library, "zmalloc", &allocate);
    find(library, "zfree", &release);
    find(library, "zmalloc_used_memory", &used);
    find(library, "zmalloc_size", &size_of);
    return library;
}

static void check_short_threads(void)
{
    size_t before = used();
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        void *left;
        check(pthread_create(&thread, NULL, live_shortly, NULL) == 0);
        check(pthread_join(thread, &left) == 0);
        check(used() == before + size_of(left));
        release(left);
        check(used() == before);
    }
}

static void take_keys_but(int left)
{
    static pthread_key_t keys[PTHREAD_KEYS_MAX];
    int taken = 0;
    while (taken < PTHREAD_KEYS_MAX && pthread_key_create(&keys[taken], NULL) == 0) {
        taken++;
    }
    check(taken > left);
    while (left-- > 0) {
        check(pthread_key_delete(keys[--taken]) == 0);
    }
}

int main(int argc, char **argv)
{
    check(argc > 1);
    if (argc > 2) {
        take_keys_but(atoi(argv[2]));
    }
    check(pthread_barrier_init(&loaded, NULL, THREADS + 1) == 0);
    check(pthread_barrier_init(&in_use, NULL, THREADS + 1) == 0);
    check(pthread_barrier_init(&unloaded, NULL, THREADS + 1) == 0);

    size_t kept = 0;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            check(pthread_create(&threads[i], NULL, use, NULL) == 0);
        }
        void *library = load(argv[1]);
        size_t before = used();
        check(before == kept);
        pthread_barrier_wait(&loaded);
        pthread_barrier_wait(&in_use);
        check(used() == before);
        check_short_threads();
        check(allocate(100) != NULL);
        kept = used();
        check(dlclose(library) == 0);
        pthread_barrier_wait(&unloaded);
        for (int i = 0; i < THREADS; i++) {
            check(pthread_join(threads[i], NULL) == 0);
        }
    }
    return 0;
}
