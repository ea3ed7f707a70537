/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads one after the other, by the ten thousand: what the library keeps of them does not grow with their number.
 * And threads at once, more than it has room for at the start: what it takes for them is little.
 */
#include "threads.h"

enum { WARM_UP = 2000, THREADS = SANITIZED ? 6000 : 20000, MAY_GROW = 1 << 20 };

/* Room is made for hundreds at once; these need some of it twice. Most of a thread's memory is its C library's. */
enum { AT_ONCE = 300, MAY_TAKE = 100 << 20 };

/*
 * ThreadSanitizer itself keeps something of every thread. For 6,000 of them a program without the library has 5.3 MiB
 * more address space with gcc 14.2, which is 0.9 KiB for each, and no more with gcc 12.2.
 */
enum { SANITIZER_MAY_KEEP = THREAD_SANITIZER ? 2 << 10 : 0 };

static pthread_key_t key;
static pthread_barrier_t all_live;

/* When the thread has given back what it had. */
static void use_again(void *argument)
{
    size_t *rounds = argument;
    zfree(zmalloc(100));
    if (--*rounds > 0) {
        check(pthread_setspecific(key, rounds) == 0);
    }
}

static void *live_shortly(void *argument)
{
    zfree(zmalloc(100));
    check(pthread_setspecific(key, argument) == 0);
    return NULL;
}

/* The address space of this process, in bytes: threads that follow each other use the same. */
static size_t address_space(void)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    check(statm != NULL);
    unsigned long pages = 0;
    check(fscanf(statm, "%lu", &pages) == 1);
    fclose(statm);
    return pages * (size_t) sysconf(_SC_PAGESIZE);
}

/* In the last round; some allocators would themselves lose what they keep of a thread that asks for a block then. */
static size_t rounds_of_destructors(void)
{
    bool loses = strncmp(ZMALLOC_LIB, "tcmalloc", 8) == 0 || strncmp(ZMALLOC_LIB, "mimalloc", 8) == 0;
    return loses ? 2 : DESTRUCTOR_ROUNDS;
}

static void run(unsigned threads)
{
    for (unsigned i = 0; i < threads; i++) {
        size_t rounds = rounds_of_destructors();
        join(start(live_shortly, &rounds));
        check(rounds == 0);
    }
}

static void *live_with_others(void *argument)
{
    void *block = zmalloc(100);
    pthread_barrier_wait(&all_live);
    zfree(block);
    return argument;
}

static void run_at_once(void)
{
    pthread_t threads[AT_ONCE];
    size_t used = zmalloc_used_memory();
    size_t before = zmalloc_get_rss();
    check(pthread_barrier_init(&all_live, NULL, AT_ONCE) == 0);
    for (size_t i = 0; i < AT_ONCE; i++) {
        threads[i] = start(live_with_others, NULL);
    }
    for (size_t i = 0; i < AT_ONCE; i++) {
        join(threads[i]);
    }
    size_t after = zmalloc_get_rss();
    check_used(used);
    /* An emulator keeps something of every thread, too. */
    check(SANITIZED || is_emulated() || after < before + MAY_TAKE);
}

int main(int argc, char **argv)
{
    if (ADDRESS_SANITIZER) {
        puts("skipped: AddressSanitizer itself keeps something of every thread");
        return SKIPPED;
    }
    unsigned threads = fewer_if_emulated(THREADS) * scale_from(argc, argv);
    check(pthread_key_create(&key, use_again) == 0);
    size_t used = zmalloc_used_memory();
    run_at_once();
    run(WARM_UP);
    size_t before = address_space();
    run(threads);
    size_t after = address_space();
    check_used(used);
    if (after > before + MAY_GROW + (size_t) threads * SANITIZER_MAY_KEEP && !is_emulated()) {
        fprintf(stderr, "%zu bytes more after %u threads\n", after - before, threads);
        return 1;
    }
    return 0;
}
