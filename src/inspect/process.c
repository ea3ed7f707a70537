/* SPDX-License-Identifier: BSD-3-Clause */
/* The questions to the operating system. */
#include "heap/heap.h"
#include "inspect/sized.h"
#include "os/os.h"
#include "zmalloc.h"

#include <errno.h>
#include <string.h>

_Static_assert(ZM_MOST_FIELDS == ZMALLOC_MOST_FIELDS && ZM_LONGEST_FIELD == ZMALLOC_LONGEST_FIELD,
               "a platform's fields are told as they are");

/* The platform's figures have 64 bits everywhere. The two largest of size_t have meanings of their own. */
static int narrow(uint64_t figure, size_t *bytes)
{
    if (figure >= ZMALLOC_NO_LIMIT) {
        return -EOVERFLOW;
    }
    *bytes = (size_t) figure;
    return 0;
}

/* An extended call's answer: the figure, or 0 with the error. */
static int answer(int error, uint64_t figure, size_t *bytes)
{
    *bytes = 0;
    return error == 0 ? narrow(figure, bytes) : error;
}

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool may_be_process(long pid)
{
    return pid == -1 || pid > 0;
}

int zmalloc_process_rss(long pid, size_t *bytes)
{
    if (bytes == NULL) {
        return -EINVAL;
    }
    uint64_t rss = 0;
    int error = may_be_process(pid) ? zm_os_rss(pid, &rss) : -EINVAL;
    return answer(error, rss, bytes);
}

int zmalloc_rss(size_t *bytes)
{
    return zmalloc_process_rss(-1, bytes);
}

size_t zmalloc_get_rss(void)
{
    size_t bytes;
    return zmalloc_rss(&bytes) == 0 ? bytes : 0;
}

static int sum_mappings(long pid, struct zm_fields *sums)
{
    zm_fields_begin(sums);
    return zm_os_mappings(pid, zm_mapping_add_fields, sums);
}

int zmalloc_smap_bytes_by_field(const char *field, long pid, size_t *bytes)
{
    if (bytes == NULL) {
        return -EINVAL;
    }
    *bytes = 0;
    size_t length = field != NULL ? strlen(field) : 0;
    length -= length > 0 && field[length - 1] == ':';
    if (length == 0 || !may_be_process(pid)) {
        return -EINVAL;
    }
    /* The rollup costs a tenth, but is missing on old kernels and lacks some fields. */
    struct zm_fields sums;
    const uint64_t *sum = NULL;
    if (zm_os_rollup(pid, &sums) == 0) {
        sum = zm_fields_find(&sums, field, length);
    }
    int error = 0;
    if (sum == NULL) {
        error = sum_mappings(pid, &sums);
        sum = zm_fields_find(&sums, field, length);
    }
    if (error != 0) {
        return error;
    }
    return sum != NULL ? narrow(*sum, bytes) : -ENOENT;
}

size_t zmalloc_get_smap_bytes_by_field(char *field, long pid)
{
    size_t bytes;
    return zmalloc_smap_bytes_by_field(field, pid, &bytes) == 0 ? bytes : 0;
}

int zmalloc_private_dirty(long pid, size_t *bytes)
{
    return zmalloc_smap_bytes_by_field("Private_Dirty", pid, bytes);
}

size_t zmalloc_get_private_dirty(long pid)
{
    size_t bytes;
    return zmalloc_private_dirty(pid, &bytes) == 0 ? bytes : 0;
}

/* The first ones, as many as count says. */
static int tell_fields(const struct zm_fields *from, struct zmalloc_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        memcpy(fields[i].name, from->all[i].name, sizeof(fields[i].name));
        int error = narrow(from->all[i].bytes, &fields[i].bytes);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

int zmalloc_smaps(long pid, struct zmalloc_field *fields, size_t *count)
{
    if (count == NULL) {
        return -EINVAL;
    }
    size_t room = *count;
    *count = 0;
    if (fields == NULL || !may_be_process(pid)) {
        return -EINVAL;
    }
    struct zm_fields sums;
    int error = zm_os_rollup(pid, &sums);
    if (error != 0) {
        error = sum_mappings(pid, &sums);
    }
    if (error == 0) {
        error = tell_fields(&sums, fields, lesser(sums.count, room));
    }
    if (error != 0) {
        return error;
    }
    *count = sums.count;
    return sums.count <= room ? 0 : -ERANGE;
}

struct visitor {
    int (*visit)(const struct zmalloc_mapping *mapping, void *context);
    void *context;
};

static int visit_mapping(const struct zm_mapping *from, void *context)
{
    const struct visitor *visitor = context;
    struct zmalloc_field fields[ZMALLOC_MOST_FIELDS];
    int error = tell_fields(&from->fields, fields, from->fields.count);
    if (error != 0) {
        return error;
    }
    struct zmalloc_mapping mapping = {
        .size = ZM_END_OF(struct zmalloc_mapping, count),
        .begin = from->begin,
        .end = from->end,
        .offset = from->offset,
        .permissions = from->permissions,
        .path = from->path,
        .fields = fields,
        .count = from->fields.count,
    };
    return visitor->visit(&mapping, visitor->context);
}

int zmalloc_mappings(long pid, int (*visit)(const struct zmalloc_mapping *mapping, void *context), void *context)
{
    if (visit == NULL || !may_be_process(pid)) {
        return -EINVAL;
    }
    struct visitor visitor = {visit, context};
    return zm_os_mappings(pid, visit_mapping, &visitor);
}

int zmalloc_memory_size(size_t *bytes)
{
    if (bytes == NULL) {
        return -EINVAL;
    }
    uint64_t size = 0;
    int error = zm_os_memory_size(&size);
    return answer(error, size, bytes);
}

size_t zmalloc_get_memory_size(void)
{
    size_t bytes;
    return zmalloc_memory_size(&bytes) == 0 ? bytes : 0;
}

/* One that is more than size_t can say is none for this process. */
static size_t limit(int error, uint64_t bytes)
{
    if (error != 0) {
        return ZMALLOC_UNKNOWN;
    }
    return bytes < ZMALLOC_NO_LIMIT ? (size_t) bytes : ZMALLOC_NO_LIMIT;
}

/* In version 0.2.0, and now. */
enum {
    FIRST_SIZE_OF_LIMITS = ZM_END_OF(struct zmalloc_memory_limits, data),
    SIZE_OF_LIMITS = ZM_END_OF(struct zmalloc_memory_limits, data)
};

/* What can't be read is unknown. Returns the error of the control groups: the others need nobody to tell. */
static int read_limits(struct zmalloc_memory_limits *limits)
{
    uint64_t physical = 0;
    uint64_t cgroup = 0;
    uint64_t address_space = 0;
    uint64_t data = 0;
    int error = zm_os_memory_size(&physical);
    limits->physical = limit(error, physical);
    error = zm_os_resource_limits(&address_space, &data);
    limits->address_space = limit(error, address_space);
    limits->data = limit(error, data);
    error = zm_os_cgroup_limit(&cgroup);
    limits->cgroup = limit(error, cgroup);
    return error;
}

int zmalloc_memory_limits(struct zmalloc_memory_limits *limits)
{
    if (limits == NULL || limits->size < FIRST_SIZE_OF_LIMITS) {
        return -EINVAL;
    }
    struct zmalloc_memory_limits whole;
    (void) read_limits(&whole);
    zm_sized_copy(limits, &whole, SIZE_OF_LIMITS);
    return 0;
}

int zmalloc_memory_limit(size_t *bytes)
{
    if (bytes == NULL) {
        return -EINVAL;
    }
    struct zmalloc_memory_limits limits;
    int error = read_limits(&limits);
    if (error != 0) {
        *bytes = 0;
        return error; /* the process may be in a group that has the least limit of all */
    }
    /* What is unknown is the largest, and then comes what is not set. */
    size_t least = lesser(lesser(limits.physical, limits.cgroup), lesser(limits.address_space, limits.data));
    bool known = least < ZMALLOC_NO_LIMIT || limits.physical != ZMALLOC_UNKNOWN;
    /* With 32 bits, on a machine that has more: all that pointers reach. */
    size_t reach = SIZE_MAX / zm_os_page_size() * zm_os_page_size();
    *bytes = known ? lesser(least, reach) : 0;
    return known ? 0 : -ENOSYS;
}

int zmalloc_thp(int *mode)
{
    if (mode == NULL) {
        return -EINVAL;
    }
    enum zm_thp thp = ZM_THP_NEVER;
    int error = zm_os_thp(&thp);
    *mode = error == 0 ? (int) thp : -1;
    return error;
}

int zmalloc_disable_thp(int disable)
{
    return zm_os_disable_thp(disable != 0);
}

int get_proc_stat_ll(int i, long long *res)
{
    return res != NULL && zm_os_proc_stat(i, res) == 0;
}

void zmadvise_dontneed(void *ptr)
{
    zm_heap_expect(ptr, __func__);
    if (ptr == NULL) {
        return;
    }
    uintptr_t page = zm_os_page_size();
    uintptr_t begin = ((uintptr_t) ptr + page - 1) / page * page;
    uintptr_t end = ((uintptr_t) ptr + zmalloc_usable_size(ptr)) / page * page;
    if (begin < end) {
        zm_os_discard((char *) ptr + (begin - (uintptr_t) ptr), end - begin);
    }
}
