/* SPDX-License-Identifier: BSD-3-Clause */
/* A program that knows nothing of the library loads it, uses it on threads, and unloads it while they live. */
#include <dlfcn.h>
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

static pthread_barrier_t loaded;
static pthread_barrier_t in_use;
static pthread_barrier_t unloaded;

static void *use(void *argument)
{
    pthread_barrier_wait(&loaded);
    void *block = allocate(1000);
    memset(block, 1, 1000);
    release(allocate(50));
    release(block);
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
    return library;
}

int main(int argc, char **argv)
{
    check(argc == 2);
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
