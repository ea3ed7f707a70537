/* SPDX-License-Identifier: BSD-3-Clause */
/* The gate of each thread: opened when the thread goes live, moved by whoever changes the mask of reasons. */
#include "account/gate.h"

#include "account/account.h"
#include "account/readers.h"
#include "account/slots.h"
#include "sync/child.h"

atomic_uint zm_gate_reasons;
size_t zm_gate_fast_sizes;

static const _Atomic size_t zero;

_Thread_local struct zm_thread zm_self = {
    .slow_up_to = ZM_NOT_LIVE,
    .alone_stamp = ZM_NEVER_A_STAMP,
    .quota.allocated = &zero,
};

static size_t usual(void)
{
    return ZM_COUNTED_BY_ALLOCATOR || zm_heap_grants() ? ZM_HEAP_UNALIGNED_UP_TO : ZM_SLOW_ALWAYS;
}

/* Never touches the gate of a thread that is not live, or not any more. */
static void move(struct zm_thread *thread, bool slow)
{
    size_t from = slow ? usual() : ZM_SLOW_ALWAYS;
    size_t to = slow ? ZM_SLOW_ALWAYS : usual();
    __atomic_compare_exchange_n(&thread->slow_up_to, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static bool is_slow(void)
{
    return atomic_load(&zm_gate_reasons) != 0;
}

/* That of all threads. */
static void move_common(bool slow)
{
    bool opens = !slow && usual() != ZM_SLOW_ALWAYS;
    size_t sizes = opens ? ZM_HEAP_GRANTS_UP_TO - ZM_HEAP_UNALIGNED_UP_TO : 0;
    __atomic_store_n(&zm_gate_fast_sizes, sizes, __ATOMIC_SEQ_CST);
}

/* Looks at the mask again after each move: of several that move a gate, the last one to do so has seen the last mask.
 */
static void follow_reasons(struct zm_thread *thread)
{
    bool slow;
    do {
        slow = is_slow();
        move_common(slow);
        if (thread != NULL) {
            move(thread, slow);
        }
    } while (slow != is_slow());
}

/* Whoever changes the mask meanwhile either finds this thread live, or is seen here. Until then all is slow: a signal
 * handler may come. */
void zm_gate_go_live(struct zm_slot *slot)
{
    __atomic_store_n(&zm_self.slow_up_to, ZM_SLOW_ALWAYS, __ATOMIC_SEQ_CST);
    atomic_store(&slot->thread, &zm_self);
    follow_reasons(&zm_self);
}

void zm_gate_leave(struct zm_slot *slot)
{
    __atomic_store_n(&zm_self.slow_up_to, ZM_NOT_LIVE, __ATOMIC_SEQ_CST);
    atomic_store(&slot->thread, NULL);
}

static void follow_if_live(struct zm_slot *slot, void *context)
{
    (void) context;
    struct zm_thread *thread = atomic_load(&slot->thread);
    if (thread != NULL) {
        follow_reasons(thread);
    }
}

void zm_gate_set(unsigned reason, bool on)
{
    if (on) {
        atomic_fetch_or(&zm_gate_reasons, reason);
    } else {
        atomic_fetch_and(&zm_gate_reasons, ~reason);
    }
    follow_reasons(NULL);
    struct zm_reader reader;
    do {
        reader = zm_readers_enter(); /* a thread that ends waits until nobody looks at it any more */
        zm_slots_each(follow_if_live, NULL);
    } while (!zm_readers_leave(reader));
}
