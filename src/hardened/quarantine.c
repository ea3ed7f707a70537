/* SPDX-License-Identifier: BSD-3-Clause */
/* A ring of blocks, first in, first out. */
#include "hardened/quarantine.h"

#include "hardened/fork_lock.h"

struct inmate {
    struct zm_entry block;
    size_t bytes;
};

static struct inmate ring[ZM_QUARANTINE_BLOCKS];
static size_t first;
static size_t held;
static size_t held_bytes;

static bool take(struct zm_entry *oldest)
{
    if (held == 0) {
        return false;
    }
    *oldest = ring[first].block;
    held_bytes -= ring[first].bytes;
    held--;
    first = (first + 1) % ZM_QUARANTINE_BLOCKS;
    return true;
}

bool zm_quarantine_put(const struct zm_entry *block, size_t bytes, struct zm_entry *oldest)
{
    uintptr_t token = zm_fork_lock(ZM_LOCK_QUARANTINE);
    bool has_room = held < ZM_QUARANTINE_BLOCKS && bytes <= ZM_QUARANTINE_BYTES - held_bytes;
    if (has_room) {
        ring[(first + held) % ZM_QUARANTINE_BLOCKS] = (struct inmate){*block, bytes};
        held++;
        held_bytes += bytes;
    } else {
        take(oldest);
    }
    zm_fork_unlock(ZM_LOCK_QUARANTINE, token);
    return has_room;
}

bool zm_quarantine_take(struct zm_entry *oldest)
{
    uintptr_t token = zm_fork_lock(ZM_LOCK_QUARANTINE);
    bool taken = take(oldest);
    zm_fork_unlock(ZM_LOCK_QUARANTINE, token);
    return taken;
}
