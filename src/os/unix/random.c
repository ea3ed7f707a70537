/* SPDX-License-Identifier: BSD-3-Clause */
/* Random bytes from the system, alike on all Unix systems that a hardened build knows. */
#include "os/os.h"

#include <errno.h>
#include <unistd.h>

#if __has_include(<sys/random.h>)
#include <sys/random.h>
#endif

int zm_os_random(void *bytes, size_t length)
{
    return getentropy(bytes, length) == 0 ? 0 : -errno;
}
