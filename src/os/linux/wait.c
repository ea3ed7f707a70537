/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: a wait that a word in memory can end. */
#include "os/os.h"

#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_PRIVATE = 128, WAKE_PRIVATE = 129 };

/* With 32 bits the first call has 32 bits for the seconds, and some systems have the second alone. */
static long futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *most)
{
#ifdef SYS_futex
    return syscall(SYS_futex, word, operation, value, most, NULL, 0);
#else
    return syscall(SYS_futex_time64, word, operation, value, most, NULL, 0);
#endif
}

int zm_os_wait(_Atomic uint32_t *word, uint32_t value, uint64_t milliseconds)
{
    uint64_t day = 86400000; /* enough for a wait that may end for no reason */
    uint64_t most = milliseconds < day ? milliseconds : day;
    struct timespec time = {.tv_sec = (time_t) (most / 1000), .tv_nsec = (long) (most % 1000 * 1000000)};
    long error = futex(word, WAIT_PRIVATE, value, &time);
    return error == 0 || errno == EAGAIN || errno == ETIMEDOUT || errno == EINTR ? 0 : -errno;
}

void zm_os_wake(_Atomic uint32_t *word)
{
    futex(word, WAKE_PRIVATE, INT_MAX, NULL);
}
