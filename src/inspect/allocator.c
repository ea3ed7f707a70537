/* SPDX-License-Identifier: BSD-3-Clause */
/* The questions to the account and to the allocator. */
#include "inspect/allocator.h"

#include "account/account.h"
#include "heap/heap.h"
#include "util/set_if.h"
#include "zmalloc.h"

#include <errno.h>

size_t zmalloc_used_memory(void)
{
    return zm_account_used();
}

size_t zmalloc_peak_memory(void)
{
    return zm_account_peak();
}

void zmalloc_reset_peak_memory(void)
{
    zm_account_reset_peak();
}

size_t zmalloc_total_allocated(void)
{
    return zm_account_total_allocated();
}

size_t zmalloc_total_freed(void)
{
    return zm_account_total_freed();
}

size_t zmalloc_thread_allocated(void)
{
    return zm_account_thread_allocated();
}

size_t zmalloc_thread_freed(void)
{
    return zm_account_thread_freed();
}

const char *zmalloc_allocator(void)
{
    return zm_allocator_name();
}

int zm_inspect_allocator(struct zm_allocator_info *info)
{
    *info = (struct zm_allocator_info){ZM_UNKNOWN, ZM_UNKNOWN, ZM_UNKNOWN, ZM_UNKNOWN, ZM_UNKNOWN,
                                       ZM_UNKNOWN, ZM_UNKNOWN, ZM_UNKNOWN, ZM_UNKNOWN};
    return zm_allocator_info(info);
}

int zmalloc_allocator_info(size_t *allocated, size_t *active, size_t *resident)
{
    struct zm_allocator_info info;
    int error = zm_inspect_allocator(&info);
    zm_set_if(allocated, info.allocated);
    zm_set_if(active, info.active);
    zm_set_if(resident, info.resident);
    return error;
}

static size_t zero_if_unknown(size_t figure)
{
    return figure != ZM_UNKNOWN ? figure : 0;
}

int zmalloc_get_allocator_info(size_t *allocated, size_t *active, size_t *resident)
{
    size_t figures[3];
    zmalloc_allocator_info(&figures[0], &figures[1], &figures[2]);
    zm_set_if(allocated, zero_if_unknown(figures[0]));
    zm_set_if(active, zero_if_unknown(figures[1]));
    zm_set_if(resident, zero_if_unknown(figures[2]));
    return 1;
}

int zmalloc_background_thread(int enable)
{
    return zm_allocator_run_background_thread(enable != 0);
}

void set_jemalloc_bg_thread(int enable)
{
    zmalloc_background_thread(enable);
}

int zmalloc_background_thread_enabled(int *enabled)
{
    if (enabled == NULL) {
        return -EINVAL;
    }
    bool runs = false;
    int error = zm_allocator_background_thread_runs(&runs);
    *enabled = error == 0 && runs;
    return error;
}

int zmalloc_decay(long *dirty_ms, long *muzzy_ms)
{
    if (dirty_ms == NULL || muzzy_ms == NULL) {
        return -EINVAL;
    }
    *dirty_ms = -1;
    *muzzy_ms = -1;
    return zm_allocator_decay(dirty_ms, muzzy_ms);
}

int zmalloc_set_decay(long dirty_ms, long muzzy_ms)
{
    if (dirty_ms < -1 || muzzy_ms < -1) {
        return -EINVAL;
    }
    return zm_allocator_set_decay(dirty_ms, muzzy_ms);
}

int zmalloc_purge(size_t *returned)
{
    size_t before;
    size_t after;
    bool known = zmalloc_rss(&before) == 0;
    int error = zm_heap_purge(__func__);
    known = zmalloc_rss(&after) == 0 && known;
    size_t less = before > after ? before - after : 0;
    zm_set_if(returned, known ? less : ZMALLOC_UNKNOWN);
    return error;
}

int jemalloc_purge(void)
{
    return zm_heap_purge(__func__) == 0 ? 0 : -1;
}
