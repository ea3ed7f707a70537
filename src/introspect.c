/* SPDX-License-Identifier: BSD-3-Clause */
/* The questions: what the account, the operating system and the allocator know about memory. */
#include "account.h"
#include "allocator/allocator.h"
#include "os/os.h"
#include "zmalloc.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

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

/* An extended call's answer: the figure, or 0 with the error. */
static int answer(int error, size_t figure, size_t *bytes)
{
    *bytes = error == 0 ? figure : 0;
    return error;
}

int zmalloc_rss(size_t *bytes)
{
    if (bytes == NULL) {
        return -EINVAL;
    }
    size_t rss = 0;
    int error = zm_os_rss(&rss);
    return answer(error, rss, bytes);
}

size_t zmalloc_get_rss(void)
{
    size_t bytes;
    return zmalloc_rss(&bytes) == 0 ? bytes : 0;
}

static bool may_be_process(long pid)
{
    return pid == -1 || pid > 0;
}

int zmalloc_private_dirty(long pid, size_t *bytes)
{
    if (bytes == NULL) {
        return -EINVAL;
    }
    size_t dirty = 0;
    int error = may_be_process(pid) ? zm_os_private_dirty(pid, &dirty) : -EINVAL;
    return answer(error, dirty, bytes);
}

size_t zmalloc_get_private_dirty(long pid)
{
    size_t bytes;
    return zmalloc_private_dirty(pid, &bytes) == 0 ? bytes : 0;
}

/* Length of a field's name, its colon left out. */
static size_t name_length(const char *field)
{
    size_t length = strlen(field);
    return length > 0 && field[length - 1] == ':' ? length - 1 : length;
}

int zmalloc_smap_bytes_by_field(const char *field, long pid, size_t *bytes)
{
    if (bytes == NULL) {
        return -EINVAL;
    }
    size_t sum = 0;
    int error = -EINVAL;
    if (field != NULL && name_length(field) > 0 && may_be_process(pid)) {
        error = zm_os_smaps_field(field, name_length(field), pid, &sum);
    }
    return answer(error, sum, bytes);
}

size_t zmalloc_get_smap_bytes_by_field(char *field, long pid)
{
    size_t bytes;
    return zmalloc_smap_bytes_by_field(field, pid, &bytes) == 0 ? bytes : 0;
}

int zmalloc_memory_size(size_t *bytes)
{
    if (bytes == NULL) {
        return -EINVAL;
    }
    size_t size = 0;
    int error = zm_os_memory_size(&size);
    return answer(error, size, bytes);
}

size_t zmalloc_get_memory_size(void)
{
    size_t bytes;
    return zmalloc_memory_size(&bytes) == 0 ? bytes : 0;
}

int get_proc_stat_ll(int i, long long *res)
{
    return res != NULL && zm_os_proc_stat(i, res) == 0;
}

void zmadvise_dontneed(void *ptr)
{
    if (ptr == NULL) {
        return;
    }
    uintptr_t page = zm_os_page_size();
    uintptr_t begin = ((uintptr_t) ptr + page - 1) / page * page;
    uintptr_t end = ((uintptr_t) ptr + zmalloc_usable_size(ptr)) / page * page;
    if (begin < end) {
        zm_os_discard((void *) begin, end - begin);
    }
}

const char *zmalloc_allocator(void)
{
    return zm_allocator_name();
}

static void tell(size_t *figure, size_t value)
{
    if (figure != NULL) {
        *figure = value;
    }
}

int zmalloc_allocator_info(size_t *allocated, size_t *active, size_t *resident)
{
    struct zm_allocator_info info = {ZM_UNKNOWN, ZM_UNKNOWN, ZM_UNKNOWN};
    int error = zm_allocator_info(&info);
    tell(allocated, info.allocated);
    tell(active, info.active);
    tell(resident, info.resident);
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
    tell(allocated, zero_if_unknown(figures[0]));
    tell(active, zero_if_unknown(figures[1]));
    tell(resident, zero_if_unknown(figures[2]));
    return 1;
}

int zmalloc_background_thread(int enable)
{
    return zm_allocator_background_thread(enable != 0);
}

void set_jemalloc_bg_thread(int enable)
{
    zmalloc_background_thread(enable);
}

int zmalloc_purge(void)
{
    return zm_allocator_purge();
}

int jemalloc_purge(void)
{
    return zmalloc_purge() == 0 ? 0 : -1;
}
