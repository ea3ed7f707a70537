/* SPDX-License-Identifier: BSD-3-Clause */
/* Loads a plugin, closes it while a thread that used it still lives, ends that thread, and forks. Again and again. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 20 };

static size_t (*use)(void);
static pthread_barrier_t barrier;

static void check(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "not so: %s\n", what);
        exit(1);
    }
}

static void *use_and_wait(void *argument)
{
    use();
    pthread_barrier_wait(&barrier); /* used */
    pthread_barrier_wait(&barrier); /* closed */
    return argument;
}

static void load_and_close(const char *path)
{
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    check(plugin != NULL, dlerror());
    void *address = dlsym(plugin, "plugin_use");
    check(address != NULL, "plugin_use is there");
    memcpy(&use, &address, sizeof(address));

    pthread_t thread;
    check(pthread_create(&thread, NULL, use_and_wait, NULL) == 0, "a thread begins");
    pthread_barrier_wait(&barrier);
    check(use() == 0, "nothing is in use");
    check(dlclose(plugin) == 0, "it closes");
    pthread_barrier_wait(&barrier);
    check(pthread_join(thread, NULL) == 0, "the thread ends");
}

static void fork_child(void)
{
    pid_t child = fork();
    check(child >= 0, "a child begins");
    if (child == 0) {
        exit(0);
    }
    int status;
    check(waitpid(child, &status, 0) == child && status == 0, "the child ends");
}

int main(int argc, char **argv)
{
    check(argc == 2, "one argument, the plugin");
    check(pthread_barrier_init(&barrier, NULL, 2) == 0, "a barrier");
    for (int round = 0; round < ROUNDS; round++) {
        load_and_close(argv[1]);
        fork_child();
    }
    puts(dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) != NULL ? "still loaded" : "unloaded");
    return 0;
}
