/* SPDX-License-Identifier: BSD-3-Clause */
/* When there is no memory: the script's handler is called, and the failed call raises; nothing aborts. */
#ifndef OUT_OF_MEMORY_H
#define OUT_OF_MEMORY_H

#include "errors.h"
#include "interpreter.h"

#include <stdbool.h>
#include <stddef.h>

/* zmalloc's handler, from the module's start on. If it answers 0, an exception of the script's is pending, or the
 * failure is noted. */
int oom_retry_callback(size_t size, void *unused);

/* Sets it. */
int start_handling(void);

/* The request for memory that this thread's call makes. In the header, as every call looks at it. */
struct memory_request {
    bool handled;      /* the one above was called, so the call may have failed */
    bool handler_runs; /* it is not called for what it asks for itself */
    bool failed;       /* and no exception is pending */
    size_t old;        /* the bytes of the block that is to be resized */
    struct refusal refusal;
    int retries; /* so far */
};

extern _Thread_local struct memory_request memory_request __attribute__((visibility("hidden")));

/* As call_failed, where the handler was called. */
bool handled_call_failed(const char *call);

/* Whether the call that has just come back has failed for want of memory; then an exception is pending. */
static inline bool call_failed(const char *call)
{
    return memory_request.handled && handled_call_failed(call);
}

int check_callable(PyObject *object, const char *call, const char *argument);

/* Of the script. Whether it answers, or only returns: see struct handler. */
int set_handler(PyObject *object, bool answers, const char *call, const char *argument);

#endif
