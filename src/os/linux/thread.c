/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux: threads, by the numbers that the kernel has for them. */
#include "os/os.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

/* In glibc and in musl a thread's name is where the C library keeps what it has of the thread. */
static bool is_mapped(pthread_t thread)
{
    const void *memory;
    _Static_assert(sizeof(memory) == sizeof(thread), "a name is an address");
    memcpy((void *) &memory, &thread, sizeof(memory));
    return zm_os_is_mapped(memory, 1);
}

/*
 * The kernel writes its number to the thread's memory, in fork too. What the C library makes of it for this clock is
 * the kernel's own form: the number's complement, and three bits for a thread's time on the processor.
 */
bool zm_os_is_first_thread(pthread_t thread)
{
    enum { BITS = 3, OF_A_THREAD = 6 };
    clockid_t clock;
    if (!is_mapped(thread) || pthread_getcpuclockid(thread, &clock) != 0) {
        return false;
    }
    return clock == (clockid_t) (~(unsigned) getpid() << BITS | OF_A_THREAD);
}
