/* SPDX-License-Identifier: BSD-3-Clause */
/* jemalloc, the cold half: every question is a mallctl. */
#include "allocator.h"

#include <errno.h>

#define STRING(x) #x
#define VALUE(x) STRING(x)

#define ALL_ARENAS VALUE(MALLCTL_ARENAS_ALL)

const char *zm_allocator_name(void)
{
    return "jemalloc-" VALUE(JEMALLOC_VERSION_MAJOR) "." VALUE(JEMALLOC_VERSION_MINOR) "." VALUE(
        JEMALLOC_VERSION_BUGFIX);
}

static int command(const char *name)
{
    return -ZM_JEMALLOC(mallctl)(name, NULL, NULL, NULL, 0);
}

static int read_size(const char *name, size_t *value)
{
    size_t length = sizeof(*value);
    return -ZM_JEMALLOC(mallctl)(name, value, &length, NULL, 0);
}

/* jemalloc's figures are a snapshot; a new epoch takes it again. */
static int refresh(void)
{
    uint64_t epoch = 1;
    return -ZM_JEMALLOC(mallctl)("epoch", NULL, NULL, &epoch, sizeof(epoch));
}

int zm_allocator_info(struct zm_allocator_info *info)
{
    int error = refresh();
    if (error == 0) {
        error = read_size("stats.allocated", &info->allocated);
    }
    if (error == 0) {
        error = read_size("stats.active", &info->active);
    }
    if (error == 0) {
        error = read_size("stats.resident", &info->resident);
    }
    return error;
}

int zm_allocator_purge(void)
{
    /* What this thread's cache holds keeps pages in use. A thread may have no cache: that is EFAULT. */
    int error = command("thread.tcache.flush");
    if (error != 0 && error != -EFAULT) {
        return error;
    }
    return command("arena." ALL_ARENAS ".purge");
}

int zm_allocator_background_thread(bool run)
{
    return -ZM_JEMALLOC(mallctl)("background_thread", NULL, NULL, &run, sizeof(run));
}
