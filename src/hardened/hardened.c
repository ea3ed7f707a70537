/* SPDX-License-Identifier: BSD-3-Clause */
/* Redzones around blocks, a fill in freed ones, and the words with which wrong use ends the program. */
#include "hardened/hardened.h"

#include "allocator/allocator.h"
#include "hardened/fork_lock.h"
#include "os/os.h"
#include "hardened/quarantine.h"
#include "hardened/registry.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Freed blocks hold nothing else. As a pointer it leads nowhere on machines of 64 bits. */
enum { FILL = 0xD5 };

enum { WORDS = ZM_REDZONE / sizeof(uint64_t) };

struct redzone {
    union {
        uint64_t words[WORDS];
        unsigned char bytes[ZM_REDZONE];
    };
};

/* Which call this thread is in, for what is found out later in it. */
static _Thread_local const char *current_call = "an allocation";

__attribute__((format(printf, 2, 3), noreturn, cold)) static void die(const void *ptr, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "zmalloc: %s: %p: %s\n", current_call, ptr, text);
    fflush(stderr);
    abort();
}

/* What no block of ours may be expected to be: random, but for a machine that has nothing random. */
static size_t secret(void)
{
    static _Atomic size_t known;
    size_t value = atomic_load_explicit(&known, memory_order_relaxed);
    if (value != 0) {
        return value;
    }
    size_t fresh;
    if (zm_os_random(&fresh, sizeof(fresh)) != 0) {
        fresh = (size_t) (uintptr_t) &fresh;
    }
    fresh |= 1;
    return atomic_compare_exchange_strong(&known, &value, fresh) ? fresh : value;
}

static uint64_t scramble(uint64_t bits)
{
    for (int i = 0; i < 2; i++) {
        bits = (bits ^ bits >> 29) * 0xD1342543DE82EF95U;
    }
    return bits ^ bits >> 32;
}

/* Another one at each address. No byte is 0, the one that ends strings: it is what is written past ends the most. */
static struct redzone redzone_at(const char *at)
{
    struct redzone redzone;
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t place = (uintptr_t) at + i * sizeof(uint64_t);
        redzone.words[i] = scramble(place ^ (uint64_t) secret() << 16) | 0x0101010101010101U;
    }
    return redzone;
}

static void set_redzone(char *at)
{
    struct redzone redzone = redzone_at(at);
    memcpy(at, &redzone, sizeof(redzone));
}

static bool redzone_is_whole(const char *at)
{
    struct redzone redzone = redzone_at(at);
    return memcmp(at, &redzone, sizeof(redzone)) == 0;
}

static bool differs(const char *at, size_t i)
{
    struct redzone redzone = redzone_at(at);
    return memcmp(at + i, &redzone.bytes[i], 1) != 0;
}

static const char *end_of(const struct zm_entry *block)
{
    return block->ptr + block->size;
}

/* Tells the byte that is nearest to the block. */
static void check_redzones(const struct zm_entry *block)
{
    if (!redzone_is_whole(end_of(block))) {
        size_t past = 0;
        while (!differs(end_of(block), past)) {
            past++;
        }
        die(block->ptr, "overflow: its byte %zu was written to, and it has %zu bytes", block->size + past,
            block->size);
    }
    const char *before = block->ptr - ZM_REDZONE;
    if (!redzone_is_whole(before)) {
        size_t distance = 1;
        while (!differs(before, ZM_REDZONE - distance)) {
            distance++;
        }
        die(block->ptr, "underflow: its byte -%zu was written to (it has %zu bytes)", distance, block->size);
    }
}

static void check_fill(const struct zm_entry *block)
{
    const unsigned char *bytes = (const unsigned char *) block->ptr;
    if (bytes[0] == FILL && memcmp(bytes, bytes + 1, block->size - 1) == 0 && redzone_is_whole(end_of(block)) &&
        redzone_is_whole(block->ptr - ZM_REDZONE)) {
        return;
    }
    size_t i = 0;
    while (i < block->size && bytes[i] == FILL) {
        i++;
    }
    if (i == block->size) {
        die(block->ptr, "written to past its ends after it had been freed (it had %zu bytes); found only now", i);
    }
    die(block->ptr, "its byte %zu was written to after it had been freed (it had %zu bytes); found only now", i,
        block->size);
}

static _Noreturn void die_of_unknown(const void *ptr)
{
    struct zm_entry block;
    if (!zm_registry_find_around(ptr, &block)) {
        die(ptr, "not a block, or one freed long ago");
    }
    die(ptr, "not a block, but %td bytes from the start of %p, %s %zu bytes", (const char *) ptr - block.ptr,
        (void *) block.ptr, block.state == ZM_IN_USE ? "a block of" : "a freed block of", block.size);
}

static void check_in_use(const struct zm_entry *block)
{
    if (block->state != ZM_IN_USE) {
        die(block->ptr, "%s already (it had %zu bytes)", block->state == ZM_MOVED ? "moved by a realloc" : "freed",
            block->size);
    }
}

static struct zm_entry block_in_use(const void *ptr)
{
    struct zm_entry block;
    if (!zm_registry_find(ptr, &block)) {
        die_of_unknown(ptr);
    }
    check_in_use(&block);
    return block;
}

void *zm_hardened_open(void *block, size_t offset, size_t size)
{
    if (block == NULL) {
        return NULL;
    }
    struct zm_entry entry = {.ptr = (char *) block + offset, .size = size, .offset = offset};
    if (!zm_registry_add(&entry)) {
        zm_allocator_free(block);
        return NULL;
    }
    set_redzone(entry.ptr - ZM_REDZONE);
    set_redzone(entry.ptr + size);
    return entry.ptr;
}

static void give_back(const struct zm_entry *block)
{
    zm_registry_remove(block->ptr); /* first: the allocator may hand this address out at once */
    zm_allocator_free(block->ptr - block->offset);
}

static void release(const struct zm_entry *block)
{
    check_fill(block);
    give_back(block);
}

static void retire(void *ptr, enum zm_state state)
{
    struct zm_entry block;
    if (!zm_registry_retire(ptr, state, &block)) {
        die_of_unknown(ptr);
    }
    check_in_use(&block); /* again, now that no other thread can have it in between */

    size_t bytes = block.offset + block.size + ZM_REDZONE;
    if (bytes > ZM_QUARANTINE_BYTES) {
        give_back(&block);
        return;
    }
    memset(block.ptr, FILL, block.size);
    struct zm_entry oldest;
    while (!zm_quarantine_put(&block, bytes, &oldest)) {
        release(&oldest);
    }
}

void zm_hardened_free(void *ptr)
{
    if (ptr != NULL) {
        retire(ptr, ZM_FREED);
    }
}

void *zm_hardened_move(void *ptr, void *moved, size_t size)
{
    if (moved != NULL) {
        size_t old = block_in_use(ptr).size;
        memcpy(moved, ptr, old < size ? old : size);
        retire(ptr, ZM_MOVED);
    }
    return moved;
}

size_t zm_hardened_usable_size(void *ptr)
{
    return ptr != NULL ? block_in_use(ptr).size : 0;
}

void *zm_hardened_block_of(void *ptr)
{
    return (char *) ptr - block_in_use(ptr).offset;
}

/* The offset is a multiple of the alignment: so is a size rounded up to it, and with that the new block. */
void *zm_hardened_allocate_for_move(void *ptr)
{
    struct zm_entry block = block_in_use(ptr);
    size_t whole = block.offset + block.size + ZM_REDZONE;
    size_t rounded = (whole + block.offset - 1) / block.offset * block.offset;
    void *place = zm_allocator_allocate_for_move(block.ptr - block.offset, rounded);
    return zm_hardened_open(place, block.offset, block.size);
}

void zm_hardened_empty_quarantine(const char *call)
{
    current_call = call;
    struct zm_entry oldest;
    while (zm_quarantine_take(&oldest)) {
        release(&oldest);
    }
}

static size_t expect(void *ptr, const char *call)
{
    current_call = call;
    struct zm_entry block = block_in_use(ptr);
    check_redzones(&block);
    return block.size;
}

void zm_hardened_expect(void *ptr, const char *call)
{
    if (ptr != NULL) {
        expect(ptr, call);
    }
}

void zm_hardened_expect_size(void *ptr, size_t size, const char *call)
{
    size_t own = ptr != NULL ? expect(ptr, call) : size;
    if (size != own) {
        die(ptr, "has %zu bytes, and not %zu", own, size);
    }
}

void zm_hardened_expect_room(void *ptr, size_t size, const char *call)
{
    size_t own = ptr != NULL ? expect(ptr, call) : size;
    if (size > own) {
        die(ptr, "has %zu bytes, which is less than %zu", own, size);
    }
}

void zm_hardened_expect_foreign(void *ptr, const char *call)
{
    current_call = call;
    struct zm_entry block;
    if (ptr != NULL && zm_registry_find(ptr, &block)) {
        check_in_use(&block);
        die(ptr, "a block of %zu bytes, for zfree", block.size);
    }
}

/* The quarantine's and the registry's. */
static void before_fork(void)
{
    zm_lock_take_all(ZM_LOCK_QUARANTINE, ZM_LOCKS);
}

static void after_fork_in_parent(void)
{
    zm_lock_release_all(ZM_LOCK_QUARANTINE, ZM_LOCKS);
}

__attribute__((constructor)) static void start(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, NULL);
}

__attribute__((destructor)) static void finish(void)
{
    zm_hardened_empty_quarantine("exit");
}
