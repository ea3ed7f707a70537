/* SPDX-License-Identifier: BSD-3-Clause */
/* A process to whom the system refuses memory barriers in all threads, or their registration, as sandboxes may do. */
#ifndef NO_BARRIER_H
#define NO_BARRIER_H

#include <stdbool.h>

#ifdef __linux__

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum refused { REGISTERING = 1 << 4, BARRIERS = 1 << 3, BOTH = REGISTERING | BARRIERS };

/* From now on, for all threads. False: this can't be had here. */
static inline bool refuse_barrier(enum refused refused)
{
    enum { LOW_HALF = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0 };
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) + LOW_HALF),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, refused, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof(steps) / sizeof(steps[0]), steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0;
}

#else

enum refused { REGISTERING, BARRIERS, BOTH };

static inline bool refuse_barrier(enum refused refused)
{
    (void) refused;
    return false;
}

#endif

#endif
