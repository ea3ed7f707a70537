/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: threads, by the numbers that the kernel has for them. */
#include "os/os.h"

#include <time.h>
#include <unistd.h>

/*
 * The kernel writes its number to the thread's memory, in fork too. What the C library makes of it for this clock is
 * the kernel's own form: the number's complement, and three bits for a thread's time on the processor.
 */
bool zm_os_is_first_thread(pthread_t thread)
{
    enum { BITS = 3, OF_A_THREAD = 6 };
    clockid_t clock;
    if (!zm_os_is_mapped((const void *) thread, 1) || pthread_getcpuclockid(thread, &clock) != 0) {
        return false;
    }
    return clock == (clockid_t) (~(unsigned) getpid() << BITS | OF_A_THREAD);
}
