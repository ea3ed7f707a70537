/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: a memory barrier in all threads at once. */
#include "os/os.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* By number: the C library has neither a function nor, everywhere, a header for it. */
static int membarrier(int command)
{
#ifdef SYS_membarrier
    int before = errno;
    int error = syscall(SYS_membarrier, command, 0, 0) == 0 ? 0 : -errno;
    errno = before;
    return error;
#else
    (void) command;
    return -ENOSYS;
#endif
}

/* Since Linux 4.14. */
int zm_os_prepare_barrier(void)
{
    enum { REGISTER_PRIVATE_EXPEDITED = 1 << 4 };
    return membarrier(REGISTER_PRIVATE_EXPEDITED);
}

int zm_os_barrier_in_all_threads(void)
{
    enum { PRIVATE_EXPEDITED = 1 << 3 };
    return membarrier(PRIVATE_EXPEDITED);
}
