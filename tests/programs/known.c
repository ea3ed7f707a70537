/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that knows nothing of the library, for a preload library to serve. Arguments:
 *   books N       N rounds of every call; prints the bytes allocated and freed, as it has seen them
 *   rules         what C and POSIX say of these calls; prints "ok"
 *   refused       frees while the kernel takes no memory back; prints "ok", or "no filter" where that can't be had
 *   fork          books of a child by fork and of one by vfork, which ends by _exit; prints "ok"
 *   fill          allocates until it fails; prints how many MiB, and the error
 *   end HOW...    works for 50 ms with 8 MiB, and ends so: exit, quick_exit, _exit, _Exit, handler (by _exit in a
 *                 handler of signals), kill, or exec: then as the words after it say
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static size_t allocated;
static size_t freed;

#define EXPECT(condition)                                                                                            \
    do {                                                                                                             \
        if (!(condition)) {                                                                                          \
            printf("line %d: %s\n", __LINE__, #condition);                                                           \
            exit(1);                                                                                                 \
        }                                                                                                            \
    } while (0)

static void *seen(void *block)
{
    EXPECT(block != NULL);
    allocated += malloc_usable_size(block);
    return block;
}

static void done(void *block)
{
    freed += malloc_usable_size(block);
    free(block);
}

static void *moved(void *block, size_t count, size_t size)
{
    freed += malloc_usable_size(block);
    return seen(count == 1 ? realloc(block, size) : reallocarray(block, count, size));
}

static void *by_posix(size_t alignment, size_t size)
{
    void *block = NULL;
    EXPECT(posix_memalign(&block, alignment, size) == 0);
    return block;
}

static void do_round(size_t i)
{
    size_t size = i * 37 % 3000 + 1;
    void *kept = seen(malloc(size));
    memset(kept, 1, size);
    done(seen(calloc(3, size)));
    done(moved(seen(malloc(size)), 1, 2 * size));
    done(moved(moved(NULL, 1, size), 5, size));
    done(seen(aligned_alloc(64, size)));
    done(seen(memalign(256, size)));
    done(seen(by_posix(4096, size)));
    done(seen(valloc(size)));
    done(seen(pvalloc(size)));
    done(seen(strdup("a string")));
    done(seen(malloc(0)));
    done(seen(malloc(size << 10)));
    if (i % 2 == 0) {
        done(kept);
    }
}

static int books(size_t rounds)
{
    char line[64];
    for (size_t i = 0; i < rounds; i++) {
        do_round(i);
    }
    int length = snprintf(line, sizeof(line), "%zu %zu\n", allocated, freed);
    return write(STDOUT_FILENO, line, (size_t) length) == length ? 0 : 1;
}

static int is_aligned(const void *block, size_t alignment)
{
    return (uintptr_t) block % alignment == 0;
}

/* The compiler knows of requests that can't be met. */
static size_t unknown(size_t number)
{
    volatile size_t copy = number;
    return copy;
}

static void check_sizes(void)
{
    void *one = malloc(unknown(0));
    void *other = malloc(unknown(0));
    EXPECT(one != NULL && other != NULL && one != other);
    errno = 7;
    free(one);
    free(other);
    free(NULL);
    EXPECT(errno == 7);
    EXPECT(malloc_usable_size(NULL) == 0);
    for (size_t size = 1; size < 5000; size += 7) {
        unsigned char *zeros = calloc(1, size);
        void *plain = malloc(size);
        EXPECT(is_aligned(zeros, _Alignof(max_align_t)) && is_aligned(plain, _Alignof(max_align_t)));
        EXPECT(malloc_usable_size(plain) >= size && zeros[0] == 0 && zeros[size - 1] == 0);
        free(zeros);
        free(plain);
    }
    void *block = malloc(10);
    EXPECT(realloc(block, unknown(0)) == NULL && errno == 7);
    block = malloc(1 << 20);
    free(block);
    EXPECT(errno == 7);
}

static void check_failures(void)
{
    size_t most = unknown(SIZE_MAX);
    char *block = malloc(10);
    strcpy(block, "kept");
    errno = 0;
    EXPECT(malloc(most) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(calloc(most / 2, 3) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(realloc(block, most) == NULL && errno == ENOMEM && strcmp(block, "kept") == 0);
    errno = 0;
    EXPECT(reallocarray(block, most / 2, 3) == NULL && errno == ENOMEM && strcmp(block, "kept") == 0);
    errno = 0;
    EXPECT(memalign(64, most) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(aligned_alloc(64, most) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(valloc(most) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(pvalloc(most) == NULL && errno == ENOMEM);
    free(block);
}

static void check_alignments(void)
{
    void *block = &block;
    errno = 7;
    EXPECT(posix_memalign(&block, unknown(3), 8) == EINVAL && posix_memalign(&block, unknown(0), 8) == EINVAL);
    EXPECT(posix_memalign(&block, unknown(sizeof(void *) / 2), 8) == EINVAL);
    EXPECT(posix_memalign(&block, 64, unknown(SIZE_MAX)) == ENOMEM);
    EXPECT(errno == 7 && block == &block);
    EXPECT(memalign(unknown(SIZE_MAX / 2 + 2), 8) == NULL && errno == EINVAL);
    for (size_t alignment = sizeof(void *); alignment <= 1 << 20; alignment *= 2) {
        for (size_t size = 0; size < 20000; size = size * 3 + 1) {
            EXPECT(posix_memalign(&block, alignment, size) == 0 && is_aligned(block, alignment));
            free(block);
            block = aligned_alloc(alignment, size);
            EXPECT(block != NULL && is_aligned(block, alignment));
            block = realloc(block, size + 1);
            free(block);
        }
    }
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    void *odd = memalign(unknown(48), 100);
    void *whole = valloc(1);
    void *rounded = pvalloc(1);
    EXPECT(odd != NULL && is_aligned(odd, 16) && is_aligned(whole, page) && is_aligned(rounded, page));
    EXPECT(malloc_usable_size(rounded) >= page);
    free(odd);
    free(whole);
    free(rounded);
}

static int rules(void)
{
    check_sizes();
    check_failures();
    check_alignments();
    puts("ok");
    return 0;
}

/* From now on, in all threads to come. */
static int refuse_to_take_back(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof(steps) / sizeof(steps[0]), steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* Enough for every allocator to try: at once from a few MiB on, or once it has much. */
static void *free_much(void *unused)
{
    enum { ROUNDS = 500, FEW = 16, MIB = 1 << 20 };
    static const size_t sizes[] = {100, 5000, 200000, 3 * MIB, 9 * MIB};
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t size = sizes[i % (sizeof(sizes) / sizeof(sizes[0]))];
        char *blocks[FEW];
        for (size_t j = 0; j < FEW; j++) {
            blocks[j] = malloc(size);
            EXPECT(blocks[j] != NULL);
            blocks[j][0] = 1;
        }
        errno = 7;
        for (size_t j = 0; j < FEW; j++) {
            free(blocks[j]);
            EXPECT(errno == 7);
        }
    }
    return unused;
}

static int refused(void)
{
    pthread_t thread;
    if (!refuse_to_take_back()) {
        puts("no filter");
        return 0;
    }
    free_much(NULL);
    EXPECT(pthread_create(&thread, NULL, free_much, NULL) == 0 && pthread_join(thread, NULL) == 0);
    puts("ok");
    return 0;
}

static int fork_and_vfork(void)
{
    int status = 1;
    void *block = malloc(100);
    pid_t child = fork();
    if (child == 0) {
        do_round(5);
        free(block);
        exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    child = vfork();
    if (child == 0) {
        _exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    free(block);
    puts("ok");
    return 0;
}

static int fill(void)
{
    enum { MIB = 1 << 20, MOST = 4096 };
    size_t blocks = 0;
    errno = 0;
    while (blocks < MOST && malloc(MIB) != NULL) {
        blocks++;
    }
    printf("%zu %s\n", blocks, strerror(errno));
    return blocks == MOST ? 1 : 0;
}

static void work(void)
{
    static void *volatile block;
    clock_t begin = clock();
    block = malloc(8 << 20);
    while (clock() - begin < CLOCKS_PER_SEC / 20) {
        memset(block, 1, 8 << 20);
    }
}

static void end_in_handler(int number)
{
    _exit(number != SIGUSR1);
}

static int end_by(char **words)
{
    work();
    if (strcmp(words[0], "exec") == 0) {
        char *next[] = {"known", "end", words[1], NULL};
        execv("/proc/self/exe", next);
    } else if (strcmp(words[0], "kill") == 0) {
        raise(SIGKILL);
    } else if (strcmp(words[0], "handler") == 0) {
        signal(SIGUSR1, end_in_handler);
        raise(SIGUSR1);
    } else if (strcmp(words[0], "_exit") == 0) {
        _exit(0);
    } else if (strcmp(words[0], "_Exit") == 0) {
        _Exit(0);
    } else if (strcmp(words[0], "quick_exit") == 0) {
        quick_exit(0);
    }
    return strcmp(words[0], "exit") == 0 ? 0 : 1;
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    if (strcmp(what, "books") == 0 && count > 2) {
        return books(strtoul(words[2], NULL, 10));
    }
    if (strcmp(what, "rules") == 0) {
        return rules();
    }
    if (strcmp(what, "refused") == 0) {
        return refused();
    }
    if (strcmp(what, "fork") == 0) {
        return fork_and_vfork();
    }
    if (strcmp(what, "end") == 0 && count > 2) {
        return end_by(words + 2);
    }
    return strcmp(what, "fill") == 0 ? fill() : 2;
}
