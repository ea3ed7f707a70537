/* SPDX-License-Identifier: BSD-3-Clause */
/* See defrag_steps.h. */
#include "defrag_steps.h"

#include <time.h>

static uint64_t microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

int defrag_begin(struct defrag_steps *steps, size_t start, size_t max_us)
{
    uint64_t now = microseconds();
    *steps = (struct defrag_steps){
        .sums = {.size = sizeof(steps->sums)},
        .end = max_us != 0 && max_us < UINT64_MAX - now ? now + max_us : UINT64_MAX,
    };
    int status = zmalloc_defrag(NULL, 0, 0, 0, &steps->sums);
    steps->sums.position = start;
    return status;
}

bool defrag_is_in_time(const struct defrag_steps *steps)
{
    return !steps->looks || steps->end == UINT64_MAX || microseconds() < steps->end;
}

int defrag_step(struct defrag_steps *steps, char **memory)
{
    enum { STEPS_A_LOOK = 16 };
    struct zmalloc_defrag step = {.size = sizeof(step)};
    void *block = memory != NULL ? *memory : NULL;
    int status = zmalloc_defrag(&block, 1, 0, 0, &step);
    if (memory != NULL) {
        *memory = block;
    }
    struct zmalloc_defrag *sums = &steps->sums;
    sums->position++;
    sums->asked += step.asked;
    sums->moved += step.moved;
    sums->moved_bytes += step.moved_bytes;
    sums->refused += step.refused;
    sums->freed_bytes += step.freed_bytes;
    steps->looks = step.moved != 0 || sums->position % STEPS_A_LOOK == 0;
    return status;
}
