/* SPDX-License-Identifier: BSD-3-Clause */
/* What faults are tried in, a file each. */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include "trial.h"

#include <unistd.h>

/* Operations that all faults are tried in, everywhere. */
struct operations {
    const struct operation *all;
    size_t count;
};

extern const struct operations calls_operations;     /* calls.c: to allocate, free and measure */
extern const struct operations limits_operations;    /* limits.c: to set limits and handlers */
extern const struct operations questions_operations; /* questions.c: to ask the system */
extern const struct operations allocator_operations; /* allocator.c: to ask the allocator */

/* calls.c. */
void try_ways(void);
void try_resizes(void);
void try_releases(void);
void choose_old(size_t size);
void choose_way(const struct way *chosen, size_t size);
void allocate(void);
void use_everything(void);
bool is_way_or_release(const char *call, size_t length);
bool begins_with(const char *name, const char *call, size_t length);

/* limits.c: what is done only the first time that a program asks for it. */
void try_first_times(void);

/* questions.c: they are about another process, too, which stands still. */
void start_other(void);
void end_other(void);

/* threads.c. */
void try_without_slots(void);
void try_to_lose_slots(void);

/* start.c: before main. It gives the headers' folder to the program that it starts. */
void try_start(const char *headers);
int live_with_it(bool struck);

#endif
