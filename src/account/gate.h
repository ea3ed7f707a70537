/* SPDX-License-Identifier: BSD-3-Clause */
/* The gate: whether a thread's allocations take the fast path or the slow path, and for what reasons. */
#ifndef ZM_GATE_H
#define ZM_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZM_LIKELY(condition) __builtin_expect(condition, true)

struct zm_slot;

/*
 * A thread's quota of what a limit leaves. It has credit, which it uses without asking, while its count of bytes
 * allocated stays below a mark; 0: it has none. Who sets these, and who takes them back: see limit/quota.c.
 */
struct zm_quota {
    _Atomic size_t until;            /* the mark */
    _Atomic size_t reserved;         /* for a block that is being made */
    const _Atomic size_t *allocated; /* its thread's count */
    _Atomic size_t lent;             /* the mark by which the thread may still go */
    _Atomic size_t fenced;           /* the mark where the system has no barrier for all threads */
};

/* By the thread itself, at any time. Released: who sees that nothing is lent sees what was counted by then. */
static inline void zm_quota_drop(struct zm_quota *quota)
{
    atomic_store_explicit(&quota->until, 0, memory_order_relaxed);
    atomic_store_explicit(&quota->lent, 0, memory_order_release);
    atomic_store_explicit(&quota->fenced, 0, memory_order_release);
}

/* What a thread keeps. */
struct zm_thread {
    /* The gate. Requests up to this size take the slow path: those too small to be aligned, or all. Another thread
     * may change it between values of a thread that is live; read by zm_gate. */
    size_t slow_up_to;
    /* What it did while it was live. Not used where the allocator counts. */
    _Atomic size_t allocated;
    _Atomic size_t freed;
    /* What it counted on the shared counters, while it was not live. */
    _Atomic size_t allocated_apart;
    _Atomic size_t freed_apart;
    /* Its slot, if the slot says so too: also the one that it is about to take. */
    _Atomic(struct zm_slot *) slot;
    /* How many of the readings in either phase are its own: see readers.c. */
    atomic_uint readings[2];
    /* While the stamp is this, no other thread is living, and so much is in use beside what is counted on the shared
     * counters and on its own. It may be about to note that. For account.c. */
    size_t alone_stamp;
    size_t used_before;
    bool notes;
    /* It has begun to end; it is about to get its slot, or amid a free. Then it does not try to get one. */
    bool ends;
    bool registers;
    /* How many of its calls are about to change its quota: one, and those of signal handlers amid that. */
    unsigned char asking;
    struct zm_quota quota;
};

/* Values of the gate at which every request is slow. The first also says that the thread is not live. */
#define ZM_NOT_LIVE SIZE_MAX
#define ZM_SLOW_ALWAYS (SIZE_MAX - 1)

/* Code that is not for a shared library is for an executable, which knows where its own TLS is. */
#if defined(__PIC__) && !defined(__PIE__)
#define ZM_TLS_MODEL
#else
#define ZM_TLS_MODEL __attribute__((tls_model("local-exec")))
#endif

extern _Thread_local struct zm_thread zm_self ZM_TLS_MODEL;

/*
 * What this thread keeps, for a call that looks at it several times. Where thread-local storage is found by a call,
 * the compiler would make it again after each call of another function: so it must not know that it could.
 */
#ifdef ZM_TLS_BY_CALL
enum { ZM_SELF_IS_LOOKED_UP = true };
#else
enum { ZM_SELF_IS_LOOKED_UP = false };
#endif

static inline struct zm_thread *zm_thread_self(void)
{
    struct zm_thread *self = &zm_self;
    if (ZM_SELF_IS_LOOKED_UP) {
        __asm__("" : "+r"(self));
    }
    return self;
}

/* A plain read, as an atomic one is an instruction more in every call: of a word, which is read whole. */
__attribute__((no_sanitize("thread"))) static inline size_t zm_gate_of(const struct zm_thread *self)
{
    return self->slow_up_to;
}

static inline size_t zm_gate(void)
{
    return zm_gate_of(&zm_self);
}

/* Why every allocation of every live thread takes the slow path: a mask, which the slow path looks at. */
enum zm_gate_reason {
    ZM_GATE_LIMIT = 1 << 0, /* a limit is set: bytes are reserved first */
};

extern atomic_uint zm_gate_reasons;

/* What the gates of all live threads let through, for who looks at its own later: so many sizes, from the least one
 * on. None before the first thread was live. Read by zm_gate_sizes. */
extern size_t zm_gate_fast_sizes __attribute__((visibility("hidden")));

__attribute__((no_sanitize("thread"))) static inline size_t zm_gate_sizes(void)
{
    return zm_gate_fast_sizes;
}

static inline bool zm_gate_has(unsigned reason)
{
    return (atomic_load_explicit(&zm_gate_reasons, memory_order_relaxed) & reason) != 0;
}

/* Adds a reason to the mask, or takes it out. When this returns, all live threads go by the new mask. Safe from
 * several threads at once. */
void zm_gate_set(unsigned reason, bool on);

/* This thread becomes live, with its slot; and is no longer live. For account.c. */
void zm_gate_go_live(struct zm_slot *slot);
void zm_gate_leave(struct zm_slot *slot);

#endif
