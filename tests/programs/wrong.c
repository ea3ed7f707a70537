/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wrong uses of blocks, one for each program run, or many, each in a child that must be aborted with the right words.
 *
 *   wrong list                         every wrong use: what is wrong, the call, the words
 *   wrong one WHAT CALL SIZE WAY       one of them; prints the pointer, and dies
 *   wrong random NUMBER SEED           that many, of any size and from any way to get a block, among right uses
 */
#include "../c/ways.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UNCAUGHT = 7, QUARANTINE = 1 << 20 };

/* A block and what a wrong use needs to know of it. */
struct victim {
    char *ptr;
    size_t size;
};

/* Nothing here may be seen through by the compiler, which would warn, or leave a write out. */
static uintptr_t volatile hidden;
static size_t volatile sink;

static char *hide(void *ptr)
{
    hidden = (uintptr_t) ptr;
    return (char *) hidden;
}

static void flip(char *byte)
{
    char *at = hide(byte);
    *at = (char) ~*at;
}

/* Pointers that are no block's: what is made of a block that is in use. */

static char of_nobody[256];

static char *static_memory(struct victim v)
{
    (void) v;
    return hide(of_nobody);
}

static char *stack_memory(struct victim v)
{
    (void) v;
    char local[64];
    return hide(local) - 1024;
}

static char *mallocs_own(struct victim v)
{
    return hide(malloc(v.size));
}

static char *far_from_anything(struct victim v)
{
    (void) v;
    return hide((char *) (uintptr_t) 0x1230); /* not mapped */
}

static char *one_byte_in(struct victim v)
{
    return v.ptr + 1;
}

static char *the_middle(struct victim v)
{
    return v.ptr + v.size / 2 + (v.size < 2);
}

static char *the_end(struct victim v)
{
    return v.ptr + v.size;
}

static char *before_the_start(struct victim v)
{
    return v.ptr - LEAST_ALIGNMENT;
}

/* Blocks that are not in use any more. */

static char *freed(struct victim v)
{
    zfree(v.ptr);
    return hide(v.ptr);
}

static char *freed_and_one_byte_in(struct victim v)
{
    zfree(v.ptr);
    return hide(v.ptr + 1);
}

static char *freed_and_others_made(struct victim v)
{
    zfree(v.ptr);
    size_t others = QUARANTINE / 2 / (v.size + 64) < 200 ? QUARANTINE / 2 / (v.size + 64) : 200;
    for (size_t i = 0; i < others; i++) {
        char *other = zmalloc(v.size);
        memset(other, 1, v.size);
        zfree(other);
    }
    memset(hide(zmalloc(v.size)), 2, v.size);
    return hide(v.ptr);
}

static char *freed_long_ago(struct victim v)
{
    zfree(v.ptr);
    zmalloc_purge(NULL);
    return hide(v.ptr);
}

static char *freed_by_realloc(struct victim v)
{
    sink = (size_t) zrealloc(v.ptr, 0);
    return hide(v.ptr);
}

static char *freed_without_cache(struct victim v)
{
    zfree_no_tcache(v.ptr);
    return hide(v.ptr);
}

static char *freed_with_size(struct victim v)
{
    zfree_with_size(v.ptr, v.size);
    return hide(v.ptr);
}

static char *moved(struct victim v)
{
    sink = (size_t) zrealloc(v.ptr, v.size + 1);
    return hide(v.ptr);
}

/* Blocks in use that were written past their ends. */

static char *byte_after(struct victim v)
{
    flip(v.ptr + v.size);
    return v.ptr;
}

static char *nul_after(struct victim v)
{
    hide(v.ptr)[v.size] = '\0';
    return v.ptr;
}

static char *sixteenth_byte_after(struct victim v)
{
    flip(v.ptr + v.size + 15);
    return v.ptr;
}

static char *byte_before(struct victim v)
{
    flip(v.ptr - 1);
    return v.ptr;
}

static char *sixteenth_byte_before(struct victim v)
{
    flip(v.ptr - 16);
    return v.ptr;
}

/* Freed blocks that were written to. */

static char *freed_first_byte(struct victim v)
{
    zfree(v.ptr);
    flip(v.ptr);
    return v.ptr;
}

static char *freed_middle(struct victim v)
{
    zfree(v.ptr);
    flip(v.ptr + v.size / 2);
    return v.ptr;
}

static char *freed_last_byte(struct victim v)
{
    zfree(v.ptr);
    flip(v.ptr + v.size - 1);
    return v.ptr;
}

static char *moved_first_byte(struct victim v)
{
    sink = (size_t) zrealloc(v.ptr, v.size + 1);
    flip(v.ptr);
    return v.ptr;
}

static char *freed_byte_after(struct victim v)
{
    zfree(v.ptr);
    flip(v.ptr + v.size);
    return v.ptr;
}

static char *freed_byte_before(struct victim v)
{
    zfree(v.ptr);
    flip(v.ptr - 1);
    return v.ptr;
}

static char *itself(struct victim v)
{
    return v.ptr;
}

/* The calls. The size is the block's own. */

static void use_zfree(char *ptr, size_t size)
{
    (void) size;
    zfree(ptr);
}

static void use_zfree_usable(char *ptr, size_t size)
{
    zfree_usable(ptr, &size);
}

static void use_zfree_with_size(char *ptr, size_t size)
{
    zfree_with_size(ptr, size);
}

static void use_extend_to_usable(char *ptr, size_t size)
{
    sink = (size_t) extend_to_usable(ptr, size);
}

static void use_zfree_no_tcache(char *ptr, size_t size)
{
    (void) size;
    zfree_no_tcache(ptr);
}

static void use_zrealloc(char *ptr, size_t size)
{
    sink = (size_t) zrealloc(ptr, size);
}

static void use_zrealloc_to_0(char *ptr, size_t size)
{
    (void) size;
    sink = (size_t) zrealloc(ptr, 0);
}

static void use_ztryrealloc(char *ptr, size_t size)
{
    sink = (size_t) ztryrealloc(ptr, size);
}

static void use_zrealloc_usable(char *ptr, size_t size)
{
    sink = (size_t) zrealloc_usable(ptr, size, &size);
}

static void use_ztryrealloc_usable(char *ptr, size_t size)
{
    sink = (size_t) ztryrealloc_usable(ptr, size, NULL);
}

/* Two threads free it at once; one of them does so wrongly. */

static pthread_barrier_t both_are_there;

static void *free_at_once(void *ptr)
{
    zfree(zmalloc(1)); /* a thread's first free goes by way of zfree_usable, and might be told by that name */
    pthread_barrier_wait(&both_are_there);
    zfree(ptr);
    return NULL;
}

static void use_zfree_twice_at_once(char *ptr, size_t size)
{
    (void) size;
    pthread_t other;
    pthread_barrier_init(&both_are_there, NULL, 2);
    if (pthread_create(&other, NULL, free_at_once, ptr) == 0) {
        free_at_once(ptr);
        pthread_join(other, NULL);
    }
}

static void use_zmalloc_size(char *ptr, size_t size)
{
    sink = size + zmalloc_size(ptr);
}

static void use_zmalloc_usable_size(char *ptr, size_t size)
{
    sink = size + zmalloc_usable_size(ptr);
}

static void use_zmadvise_dontneed(char *ptr, size_t size)
{
    (void) size;
    zmadvise_dontneed(ptr);
}

static void use_zmalloc_defrag_hint(char *ptr, size_t size)
{
    int helps;
    (void) size;
    sink = (size_t) zmalloc_defrag_hint(ptr, &helps);
}

static void use_zlibc_free(char *ptr, size_t size)
{
    (void) size;
    zlibc_free(ptr);
}

static void less_by_one(char *ptr, size_t size)
{
    zfree_with_size(ptr, size > 1 ? size - 1 : size + 5);
}

static void more_by_one(char *ptr, size_t size)
{
    zfree_with_size(ptr, size + 1);
}

static void far_too_much(char *ptr, size_t size)
{
    (void) size;
    zfree_with_size(ptr, SIZE_MAX);
}

static void extend_by_one(char *ptr, size_t size)
{
    sink = (size_t) extend_to_usable(ptr, size + 1);
}

/* What finds a write late. */

static void purge(char *ptr, size_t size)
{
    (void) ptr;
    zmalloc_purge(&size);
}

static void purge_by_its_other_name(char *ptr, size_t size)
{
    (void) ptr;
    sink = size + (size_t) jemalloc_purge();
}

static void leave(char *ptr, size_t size)
{
    (void) ptr;
    (void) size;
    exit(UNCAUGHT);
}

static void free_many(char *ptr, size_t size)
{
    (void) ptr;
    (void) size;
    for (size_t i = 0; i < 5000; i++) {
        zfree(zmalloc(20));
    }
}

static void free_much(char *ptr, size_t size)
{
    (void) ptr;
    (void) size;
    for (size_t i = 0; i < 30; i++) {
        zfree(zmalloc(QUARANTINE / 20));
    }
}

struct call {
    const char *name; /* as the message has it */
    void (*make)(char *ptr, size_t size);
};

/* Every call that is given a block. */
static const struct call calls[] = {
    {"zfree", use_zfree},
    {"zfree_usable", use_zfree_usable},
    {"zfree_with_size", use_zfree_with_size},
    {"zfree_no_tcache", use_zfree_no_tcache},
    {"zrealloc", use_zrealloc},
    {"zrealloc", use_zrealloc_to_0},
    {"ztryrealloc", use_ztryrealloc},
    {"zrealloc_usable", use_zrealloc_usable},
    {"ztryrealloc_usable", use_ztryrealloc_usable},
    {"zmalloc_size", use_zmalloc_size},
    {"zmalloc_usable_size", use_zmalloc_usable_size},
    {"zmadvise_dontneed", use_zmadvise_dontneed},
    {"zmalloc_defrag_hint", use_zmalloc_defrag_hint},
    {"extend_to_usable", use_extend_to_usable},
};

static const struct call frees_of_malloc[] = {{"zlibc_free", use_zlibc_free}};

static const struct call frees_at_once[] = {{"zfree", use_zfree_twice_at_once}};

static const struct call wrong_sizes[] = {
    {"zfree_with_size", less_by_one},
    {"zfree_with_size", more_by_one},
    {"zfree_with_size", far_too_much},
};

static const struct call too_large[] = {{"extend_to_usable", extend_by_one}};

static const struct call late[] = {
    {"zmalloc_purge", purge}, {"jemalloc_purge", purge_by_its_other_name}, {"exit", leave}, {"zfree", free_many},
    {"zfree", free_much},
};

/* What is wrong, with which calls, and the words for it. */
struct wrong {
    const char *name;
    char *(*prepare)(struct victim v);
    const struct call *calls;
    size_t length;
    const char *words;
};

#define WITH(list) list, LENGTH(list)

static const struct wrong wrongs[] = {
    {"static memory", static_memory, WITH(calls), "not a block"},
    {"stack memory", stack_memory, WITH(calls), "not a block"},
    {"malloc's own", mallocs_own, WITH(calls), "not a block"},
    {"far from anything", far_from_anything, WITH(calls), "not a block"},
    {"one byte in", one_byte_in, WITH(calls), "not a block, but 1 bytes from the start of"},
    {"the middle", the_middle, WITH(calls), "bytes from the start of"},
    {"the end", the_end, WITH(calls), "bytes from the start of"},
    {"before the start", before_the_start, WITH(calls), "not a block, but -16 bytes from the start of"},
    {"freed", freed, WITH(calls), "freed already (it had"},
    {"freed, one byte in", freed_and_one_byte_in, WITH(calls), "a freed block of"},
    {"freed, others made", freed_and_others_made, WITH(calls), "freed already (it had"},
    {"freed long ago", freed_long_ago, WITH(calls), "not a block, or one freed long ago"},
    {"freed by realloc", freed_by_realloc, WITH(calls), "freed already (it had"},
    {"freed without cache", freed_without_cache, WITH(calls), "freed already (it had"},
    {"freed with size", freed_with_size, WITH(calls), "freed already (it had"},
    {"moved", moved, WITH(calls), "moved by a realloc already (it had"},
    {"byte after", byte_after, WITH(calls), "overflow: its byte"},
    {"NUL after", nul_after, WITH(calls), "overflow: its byte"},
    {"16th byte after", sixteenth_byte_after, WITH(calls), "overflow: its byte"},
    {"byte before", byte_before, WITH(calls), "underflow: its byte -1 was"},
    {"16th byte before", sixteenth_byte_before, WITH(calls), "underflow: its byte -16 was"},
    {"freed, first byte", freed_first_byte, WITH(late), "its byte 0 was written to after it had been freed"},
    {"freed, middle", freed_middle, WITH(late), "was written to after it had been freed"},
    {"freed, last byte", freed_last_byte, WITH(late), "was written to after it had been freed"},
    {"moved, first byte", moved_first_byte, WITH(late), "its byte 0 was written to after it had been freed"},
    {"freed, byte after", freed_byte_after, WITH(late), "written to past its ends after it had been freed"},
    {"freed, byte before", freed_byte_before, WITH(late), "written to past its ends after it had been freed"},
    {"in use, to free()", itself, WITH(frees_of_malloc), "for zfree"},
    {"freed, to free()", freed, WITH(frees_of_malloc), "freed already (it had"},
    {"freed by two at once", itself, WITH(frees_at_once), "freed already (it had"},
    {"wrong size", itself, WITH(wrong_sizes), "bytes, and not"},
    {"too large", itself, WITH(too_large), "which is less than"},
};

/* Ways to get a block that ways.h has not, as they are no ways to get one of any size alone. */

static void *get_aligned(size_t size, size_t *usable)
{
    return zaligned_alloc_usable(4096, size, usable);
}

static void *get_resized(size_t size, size_t *usable)
{
    return zrealloc_usable(zmalloc(size * 2), size, usable);
}

static void *get_string(size_t size, size_t *usable)
{
    char *text = malloc(size);
    memset(text, 't', size);
    text[size - 1] = '\0';
    char *copy = zstrdup(text);
    free(text);
    *usable = zmalloc_usable_size(copy);
    return copy;
}

static const struct way more_ways[] = {
    {"zaligned_alloc_usable, 4096", get_aligned, false, true, true},
    {"zrealloc_usable, smaller", get_resized, false, true, false},
    {"zstrdup", get_string, false, true, false},
};

enum { WAYS = LENGTH(ways) + LENGTH(more_ways) };

static const struct way *way(size_t i)
{
    return i < LENGTH(ways) ? &ways[i] : &more_ways[i - LENGTH(ways)];
}

struct use {
    const struct wrong *wrong;
    const struct call *call;
    const struct way *way;
    size_t size;
};

/* Tells the pointer that it will be about, and does it. Returns if that is not found out. */
static void misuse(const struct use *use, int out)
{
    struct victim v = {.size = use->size};
    size_t usable = 0;
    v.ptr = use->way->get(v.size, &usable);
    if (usable != v.size) {
        fprintf(stderr, "%s: %zu bytes to use of %zu\n", use->way->name, usable, v.size);
        _exit(UNCAUGHT);
    }
    char *ptr = use->wrong->prepare(v);
    char text[40];
    int length = snprintf(text, sizeof(text), "%p", (void *) ptr);
    if (write(out, text, (size_t) length) != length) {
        _exit(UNCAUGHT);
    }
    use->call->make(ptr, v.size);
}

static size_t list(void)
{
    for (size_t w = 0; w < LENGTH(wrongs); w++) {
        for (size_t c = 0; c < wrongs[w].length; c++) {
            printf("%s\t%zu\t%s\t%s\n", wrongs[w].name, c, wrongs[w].calls[c].name, wrongs[w].words);
        }
    }
    return LENGTH(wrongs);
}

static int one(char **arguments)
{
    for (size_t w = 0; w < LENGTH(wrongs); w++) {
        if (strcmp(wrongs[w].name, arguments[0]) == 0) {
            const struct call *call = &wrongs[w].calls[strtoul(arguments[1], NULL, 10)];
            const struct way *got = way(strtoul(arguments[3], NULL, 10) % WAYS);
            struct use use = {&wrongs[w], call, got, strtoul(arguments[2], NULL, 10)};
            misuse(&use, STDOUT_FILENO);
        }
    }
    return UNCAUGHT;
}

/* Many. */

static uint64_t state;

static size_t any(size_t below)
{
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (size_t) ((state >> 33) % below);
}

static size_t any_size(size_t most)
{
    size_t size = (size_t) 1 << any(20);
    size += any(size);
    return size < most ? size : 1 + any(100);
}

enum { BYSTANDERS = 40 };

/* Right uses, of which none may be found wrong. Some of the blocks stay. */
static void be_right(void)
{
    struct victim others[BYSTANDERS] = {0};
    for (size_t i = 0; i < 4 * any(BYSTANDERS); i++) {
        struct victim *other = &others[any(BYSTANDERS)];
        size_t usable;
        if (other->ptr == NULL) {
            other->size = any_size(5000);
            other->ptr = way(any(WAYS))->get(other->size, &usable);
            memset(other->ptr, (int) any(256), usable);
        } else if (any(2) == 0) {
            other->size = any_size(5000);
            other->ptr = resizes[any(LENGTH(resizes))].to(other->ptr, other->size, &usable);
            memset(other->ptr, (int) any(256), usable);
        } else {
            calls[any(4)].make(other->ptr, other->size);
            other->ptr = NULL;
        }
    }
    if (any(10) == 0) {
        zmalloc_purge(NULL);
    }
}

static struct use any_use(void)
{
    const struct wrong *wrong = &wrongs[any(LENGTH(wrongs))];
    return (struct use){wrong, &wrong->calls[any(wrong->length)], way(any(WAYS)), any_size(200000)};
}

static void read_all(int in, char *text, size_t room)
{
    size_t length = 0;
    for (ssize_t got; (got = read(in, text + length, room - 1 - length)) > 0;) {
        length += (size_t) got;
    }
    text[length] = '\0';
}

/* What the child wrote is the pointer, and then the message about it. */
static bool is_caught(const struct use *use, const char *text, int status)
{
    char pointer[40] = "";
    sscanf(text, "%39[0-9a-fx]", pointer);
    char expected[200];
    snprintf(expected, sizeof(expected), "zmalloc: %s: %s: ", use->call->name, pointer);
    const char *message = strstr(text, expected);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && message != NULL &&
           strstr(message, use->wrong->words) != NULL;
}

static bool try_one(const struct use *use)
{
    int ends[2];
    if (pipe(ends) != 0) {
        abort();
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        be_right();
        misuse(use, ends[1]);
        _exit(UNCAUGHT);
    }
    close(ends[1]);
    char text[1000];
    read_all(ends[0], text, sizeof(text));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    bool caught = is_caught(use, text, status);
    if (!caught) {
        printf("NOT caught: %s, %s, %s, %zu bytes: status %d, %s\n", use->wrong->name, use->call->name,
               use->way->name, use->size, status, text);
    }
    return caught;
}

static int random_ones(size_t number, uint64_t seed)
{
    size_t caught = 0;
    for (size_t i = 0; i < number; i++) {
        state = seed * 1000003 + i;
        struct use use = any_use();
        caught += try_one(&use);
    }
    printf("figure: %zu wrong uses caught\n", caught);
    return caught == number ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A block's address, and what stands around it. */
static int show_guards(void)
{
    enum { SIZE = 64, GUARD = 16 };
    const unsigned char *block = zmalloc(SIZE);
    printf("%p", (const void *) block);
    for (int i = -GUARD; i < SIZE + GUARD; i += i == -1 ? SIZE + 1 : 1) {
        printf(" %02x", block[i]);
    }
    puts("");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    setvbuf(stderr, NULL, _IOFBF, BUFSIZ); /* as programs may; what is told must be seen all the same */
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        return list() > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    if (argc == 2 && strcmp(argv[1], "guards") == 0) {
        return show_guards();
    }
    if (argc == 6 && strcmp(argv[1], "one") == 0) {
        return one(argv + 2);
    }
    if (argc == 4 && strcmp(argv[1], "random") == 0) {
        return random_ones(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    }
    fputs("wrong list | guards | one WHAT CALL SIZE WAY | random NUMBER SEED\n", stderr);
    return UNCAUGHT;
}
