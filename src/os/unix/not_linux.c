/* SPDX-License-Identifier: BSD-3-Clause */
/* Every other system's word on what Linux alone has. */
#include "os/os.h"

#include <errno.h>

/* Where there is a /proc, it is another one. */
int zm_os_proc_stat(int field, long long *value)
{
    (void) field;
    (void) value;
    return -ENOSYS;
}

int zm_os_cgroup_limit(uint64_t *bytes)
{
    *bytes = UINT64_MAX;
    return 0;
}

int zm_os_thp(enum zm_thp *mode)
{
    (void) mode;
    return -ENOSYS;
}

int zm_os_disable_thp(bool disable)
{
    (void) disable;
    return -ENOSYS;
}

int zm_os_prepare_barrier(void)
{
    return -ENOSYS;
}

int zm_os_barrier_in_all_threads(void)
{
    return -ENOSYS;
}

bool zm_os_is_first_thread(pthread_t thread)
{
    (void) thread;
    return false;
}
