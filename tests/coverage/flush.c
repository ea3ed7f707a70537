/* SPDX-License-Identifier: BSD-3-Clause */
/* Preloaded: counts are written also where a process ends by abort or _exit, as children of tests do. */
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 64 };

static _Atomic(void (*)(void)) writers[MOST];
static atomic_uint count;

void coverage_add(void (*write)(void));

void coverage_add(void (*write)(void))
{
    unsigned place = atomic_fetch_add(&count, 1);
    if (place < MOST) {
        atomic_store(&writers[place], write);
    }
}

static void write_all(void)
{
    for (unsigned i = 0; i < MOST && atomic_load(&writers[i]) != NULL; i++) {
        atomic_load (&writers[i])();
    }
}

void _exit(int status)
{
    write_all();
    for (;;) {
        syscall(SYS_exit_group, status);
    }
}

void _Exit(int status)
{
    _exit(status);
}

void abort(void)
{
    write_all();
    void (*next)(void);
    *(void **) &next = dlsym(RTLD_NEXT, "abort");
    next();
    for (;;) {
        raise(SIGKILL);
    }
}
