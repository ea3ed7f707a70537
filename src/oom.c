/* SPDX-License-Identifier: BSD-3-Clause */
/* What is done when there is no memory: the handlers that programs set. */
#include "oom.h"

#include "sync/callback.h"
#include "zmalloc.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static void print_and_abort(size_t size)
{
    fprintf(stderr, "zmalloc: out of memory: can't allocate %zu bytes\n", size);
    fflush(stderr);
    abort();
}

typedef int retry_handler(size_t size, void *context);

/* The second, if there is one, is in the place of the first. */
static _Atomic(void (*)(size_t)) oom_handler = print_and_abort;
static _Atomic(const struct zm_callback *) oom_retry_handler;

void zmalloc_set_oom_handler(void (*handler)(size_t))
{
    atomic_store(&oom_handler, handler != NULL ? handler : print_and_abort);
    atomic_store(&oom_retry_handler, NULL);
}

int zmalloc_set_oom_retry_handler(retry_handler *handler, void *context)
{
    if (handler == NULL) {
        zmalloc_set_oom_handler(NULL);
        return 0;
    }
    const struct zm_callback *callback = zm_callback((void (*)(void)) handler, context);
    if (callback == NULL) {
        return -ENOMEM;
    }
    atomic_store(&oom_retry_handler, callback);
    return 0;
}

bool zm_oom_try_again(size_t size, unsigned *tries)
{
    const struct zm_callback *callback = atomic_load(&oom_retry_handler);
    if (callback != NULL) {
        return ((retry_handler *) callback->function)(size, callback->context) != 0 &&
               (*tries)++ < ZMALLOC_MOST_RETRIES;
    }
    void (*handler)(size_t) = atomic_load(&oom_handler);
    handler(size);
    return false;
}
