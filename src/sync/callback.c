/* SPDX-License-Identifier: BSD-3-Clause */
/* Hooks: each pair of a function and a context is kept for good, as a thread may be about to call it. */
#include "sync/callback.h"

#include "os/os.h"

#include <stdatomic.h>
#include <stddef.h>

enum { HOOKS_A_PIECE = 100 };

struct piece {
    _Atomic size_t taken;
    struct zm_hook hooks[HOOKS_A_PIECE];
};

static _Atomic(struct piece *) last_piece;
static _Atomic(const struct zm_hook *) newest;

static struct zm_hook *make(void)
{
    struct piece *piece = atomic_load(&last_piece);
    for (;;) {
        size_t place = piece != NULL ? atomic_fetch_add(&piece->taken, 1) : HOOKS_A_PIECE;
        if (place < HOOKS_A_PIECE) {
            return &piece->hooks[place];
        }
        struct piece *another = zm_os_map(sizeof(*another));
        if (another == NULL) {
            return NULL;
        }
        if (atomic_compare_exchange_strong(&last_piece, &piece, another)) {
            piece = another;
        } else {
            zm_os_unmap(another, sizeof(*another));
        }
    }
}

static const struct zm_hook *find(const struct zm_hook *wanted)
{
    const struct zm_hook *hook = atomic_load(&newest);
    while (hook != NULL && (hook->function != wanted->function || hook->context != wanted->context)) {
        hook = hook->older;
    }
    return hook;
}

const struct zm_hook *zm_hook(void (*function)(void), void *context)
{
    const struct zm_hook wanted = {.function = function, .context = context};
    const struct zm_hook *known = find(&wanted);
    if (known != NULL) {
        return known;
    }
    struct zm_hook *hook = make();
    if (hook != NULL) {
        *hook = wanted;
        hook->older = atomic_load(&newest);
        while (!atomic_compare_exchange_weak(&newest, &hook->older, hook)) {
        }
    }
    return hook;
}
