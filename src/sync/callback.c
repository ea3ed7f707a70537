/* SPDX-License-Identifier: BSD-3-Clause */
/* Callbacks: each pair of a function and a context is kept for good, as a thread may be about to call it. */
#include "sync/callback.h"

#include "os/os.h"

#include <stdatomic.h>
#include <stddef.h>

enum { CALLBACKS_A_CHUNK = 100 };

struct chunk {
    _Atomic size_t taken;
    struct zm_callback callbacks[CALLBACKS_A_CHUNK];
};

static _Atomic(struct chunk *) last_chunk;
static _Atomic(const struct zm_callback *) newest;

static struct zm_callback *make(void)
{
    struct chunk *chunk = atomic_load(&last_chunk);
    for (;;) {
        size_t index = chunk != NULL ? atomic_fetch_add(&chunk->taken, 1) : CALLBACKS_A_CHUNK;
        if (index < CALLBACKS_A_CHUNK) {
            return &chunk->callbacks[index];
        }
        struct chunk *another = zm_os_map(sizeof(*another));
        if (another == NULL) {
            return NULL;
        }
        if (atomic_compare_exchange_strong(&last_chunk, &chunk, another)) {
            chunk = another;
        } else {
            zm_os_unmap(another, sizeof(*another));
        }
    }
}

static const struct zm_callback *find(const struct zm_callback *wanted)
{
    const struct zm_callback *callback = atomic_load(&newest);
    while (callback != NULL && (callback->function != wanted->function || callback->context != wanted->context)) {
        callback = callback->older;
    }
    return callback;
}

const struct zm_callback *zm_callback(void (*function)(void), void *context)
{
    const struct zm_callback wanted = {.function = function, .context = context};
    const struct zm_callback *known = find(&wanted);
    if (known != NULL) {
        return known;
    }
    struct zm_callback *callback = make();
    if (callback != NULL) {
        *callback = wanted;
        callback->older = atomic_load(&newest);
        while (!atomic_compare_exchange_weak(&newest, &callback->older, callback)) {
        }
    }
    return callback;
}
