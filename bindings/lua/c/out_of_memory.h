/* SPDX-License-Identifier: BSD-3-Clause */
/* When there is no memory: the script's handler is called, and the failed call raises; nothing aborts. */
#ifndef OUT_OF_MEMORY_H
#define OUT_OF_MEMORY_H

#include "compat.h"
#include "errors.h"

#include <stdbool.h>
#include <stddef.h>

/* zmalloc's handler, for all Lua states; each has its own behind it. */
int oom_retry_callback(size_t size, void *unused);

/* The request for memory that this thread's call makes. In the header, as every call looks at it. */
struct memory_request {
    lua_State *caller;
    bool handler_runs; /* it is not called for what it asks for itself */
    bool raised;       /* the handler's error is on top of the caller's stack */
    bool failed;
    size_t old; /* the bytes of the block that is to be resized */
    struct refusal refusal;
    int retries; /* so far */
};

extern _Thread_local struct memory_request memory_request __attribute__((visibility("hidden")));

static inline void begin_call(lua_State *L)
{
    memory_request.caller = L;
    memory_request.retries = 0;
}

void raise_failure(lua_State *L, const char *call);

static inline void end_call(lua_State *L, const char *call)
{
    if (memory_request.failed) {
        raise_failure(L, call);
    }
}

/* For a state that loads the module. */
void start_handling(lua_State *L);

void check_callable(lua_State *L, int index, const char *call, const char *argument);

void set_handler(lua_State *L, int index, bool answers, const char *call, const char *argument);

#endif
