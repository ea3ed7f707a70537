/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults in calls that set a limit or a handler. */
#include "operations.h"

static void set_handler(void)
{
    arm();
    zmalloc_set_oom_handler(note_oom);
    calm();
}

static int refuse(size_t size, void *context)
{
    unsigned *refusals = context;
    (*refusals)++;
    note_oom(size);
    return 0;
}

/* If it can't be set, the other one stays. */
static void set_answering_handler(void)
{
    static volatile size_t too_much = SIZE_MAX; /* not a constant to the compiler, which would warn */
    static unsigned refusals;
    arm();
    int status = zmalloc_set_oom_retry_handler(refuse, &refusals);
    calm();
    check(status == 0 || (status == -ENOMEM && !must_succeed()));
    refusals = 0;
    check(zmalloc(too_much) == NULL && oom.calls == 1);
    check(refusals == (status == 0));
    oom.calls = 0;
    zmalloc_set_oom_handler(note_oom);
}

/* One that is never in the way. */
static void set_limit(void)
{
    arm();
    int status = zmalloc_set_limit(PTRDIFF_MAX);
    calm();
    check(status == 0 || (status == -ENOMEM && !must_succeed()));
    check(zmalloc_limit() == (status == 0 ? PTRDIFF_MAX : 0));
    check(zmalloc_set_limit(0) == 0);
}

static void ignore(size_t used, void *context)
{
    (void) used;
    (void) context;
}

static void set_soft_limit(void)
{
    arm();
    int status = zmalloc_set_soft_limit(PTRDIFF_MAX, 0, ignore, NULL);
    calm();
    check(status == 0 || (status == -ENOMEM && !must_succeed()));
    check(zmalloc_soft_limit() == (status == 0 ? PTRDIFF_MAX : 0));
    check(zmalloc_set_soft_limit(0, 0, NULL, NULL) == 0);
}

/* What is done only the first time that a program asks for it: in a child each, before anything else has asked. */

static void do_first(void)
{
    note_descriptors();
    fail_by(trial.fault, trial.persistent, operate);
    check(trial.nth > 2); /* it was met */
}

void try_first_times(void)
{
    static const struct {
        struct operation operation;
        const char *fault;
    } firsts[] = {
        {{"zmalloc_set_soft_limit", set_soft_limit, NULL}, "mmap ENOMEM"},
        {{"zmalloc_set_oom_retry_handler", set_answering_handler, NULL}, "mmap ENOMEM"},
    };
    for (size_t i = 0; i < LENGTH(firsts); i++) {
        choose_operation(&firsts[i].operation);
        name_trial(firsts[i].operation.call, "for the first time");
        trial.fault = find_fault(firsts[i].fault);
        for (trial.persistent = 0; trial.persistent < 2; trial.persistent++) {
            pass_in_child(do_first);
        }
    }
}

static const struct operation all[] = {
    {"zmalloc_set_oom_handler", set_handler, NULL},   {"zmalloc_set_oom_retry_handler", set_answering_handler, NULL},
    {"zmalloc_set_limit", set_limit, NULL},           {"zmalloc_limit", set_limit, NULL},
    {"zmalloc_set_soft_limit", set_soft_limit, NULL}, {"zmalloc_soft_limit", set_soft_limit, NULL},
};

const struct operations limits_operations = {all, LENGTH(all)};
