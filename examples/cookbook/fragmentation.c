/* SPDX-License-Identifier: BSD-3-Clause */
/* A store of messages that watches its memory: what it holds beyond them, and what a purge and moves bring back. */
#include <zmalloc.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGES = 60000, DAY = 6000, SHORTEST = 100, LONGEST = 900 };

static const double MIB = 1 << 20;

/* What is remembered from one look to the next. */
struct watch {
    size_t worth;  /* a purge is worth its time from this many bytes on */
    int64_t own;   /* what the process holds without any message: code, stacks, … */
    size_t purged; /* the bytes in use at the last purge */
    void **messages;
    size_t count;
};

/* Bytes that the process holds and no message is in. 0 if unknown. */
static int64_t waste(const struct watch *watch, const struct zmalloc_report *memory)
{
    return memory->rss == ZMALLOC_UNKNOWN ? 0 : (int64_t) memory->rss - (int64_t) memory->used - watch->own;
}

static bool has_changed(const struct watch *watch, size_t used)
{
    return (used > watch->purged ? used - watch->purged : watch->purged - used) >= watch->worth;
}

static void purge(const char *how)
{
    size_t returned;
    int error = zmalloc_purge(&returned);
    if (error != 0 || returned == ZMALLOC_UNKNOWN) {
        printf("can't be purged\n");
    } else {
        printf("%s, %.1f MiB came back\n", how, (double) returned / MIB);
    }
}

/* A round makes fuller pages of emptier ones, so the next one may find more to do. */
static void move_together(const struct watch *watch)
{
    struct zmalloc_defrag round = {.size = sizeof(round)};
    do {
        if (zmalloc_defrag(watch->messages, watch->count, 0, 0, &round) != 0) {
            return;
        }
    } while (round.freed_bytes != 0);
}

/*
 * What a server does once a second or so. Not every allocator can say beforehand how much of the waste is
 * fragmentation, but each shows it: what a purge does not return stays until messages go, or move. So there is no use
 * in another before the bytes in use have changed. jemalloc can say how much to move would free.
 */
static void look(struct watch *watch, const char *when)
{
    struct zmalloc_report memory = {.size = sizeof(memory)};
    zmalloc_report(&memory, 0);
    int64_t before = waste(watch, &memory);
    printf("%-28s used %4.1f MiB, waste %4.1f MiB: ", when, (double) memory.used / MIB, (double) before / MIB);
    if (before < (int64_t) watch->worth) {
        printf("little\n");
    } else if (has_changed(watch, memory.used)) {
        watch->purged = memory.used;
        purge("purged");
    } else if (memory.allocator_frag_smallbins_bytes != ZMALLOC_UNKNOWN &&
               memory.allocator_frag_smallbins_bytes >= watch->worth) {
        move_together(watch);
        purge("moved");
    } else {
        printf("stays\n");
    }
}

/* Sizes like those of messages, the same in every run. */
static size_t next_size(void)
{
    static uint32_t state = 1;
    state = state * 1664525 + 1013904223;
    return SHORTEST + (state >> 8) % (LONGEST - SHORTEST);
}

static void drop(void **message)
{
    zfree(*message);
    *message = NULL;
}

int main(void)
{
    void **messages = zcalloc_num(MESSAGES, sizeof(*messages));
    struct watch watch = {.worth = 3 << 19, .messages = messages, .count = MESSAGES};
    struct zmalloc_report memory = {.size = sizeof(memory)};
    zmalloc_report(&memory, 0);
    watch.own = waste(&watch, &memory);

    for (size_t i = 0; i < MESSAGES; i++) {
        size_t size = next_size();
        messages[i] = zmalloc(size);
        memset(messages[i], 'm', size);
    }
    look(&watch, "ten days of messages");

    /* Those that stay keep the pages that they are on, with as much free place beside them. */
    for (size_t i = 0; i < MESSAGES; i += 2) {
        drop(&messages[i]);
    }
    look(&watch, "every other one is deleted");
    look(&watch, "a second later");

    /* Whole pages are free. */
    for (size_t i = 0; i < MESSAGES - DAY; i++) {
        drop(&messages[i]);
    }
    look(&watch, "nine of the days are over");
    look(&watch, "a second later");

    for (size_t i = 0; i < MESSAGES; i++) {
        drop(&messages[i]);
    }
    watch.count = 0;
    zfree(messages);
    look(&watch, "and so is the last");
    return zmalloc_used_memory() == 0 ? 0 : 1;
}
