/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every fault loop is made of: an operation that meets one fault at each of its calls in turn, and what must be
 * true after it.
 */
#ifndef TRIAL_H
#define TRIAL_H

#include "faults.h"
#include "patterns.h"
#include "ways.h"
#include "zmalloc_lua.h"

#include <errno.h>

/* What is tried at the moment. */
struct trial {
    const char *call; /* the operation; it begins with its name in the header */
    const char *where;
    int fault;
    unsigned nth;
    int persistent;
    bool struck;
};

extern struct trial trial;

#define check(condition) check_at(__FILE__, __LINE__, (condition), #condition)
void check_at(const char *file, int line, bool holds, const char *condition);

void name_trial(const char *call, const char *where);
int find_fault(const char *name);

/* The fault can strike between arm() and calm(); a second pair in the same operation ends with calm_again(). */
void arm(void);
void calm(void);
void calm_again(void);

/* Whether the operation must have gone as if there were no fault. */
bool must_succeed(void);

/* Whether no call of the kind that the operation needs can have gone well. */
bool nothing_went_well(void);

/* Blocks that stay in use through all operations. */
void make_bystanders(void);
void check_bystanders(void);

/* In use are the bystanders and this block, to the byte. */
void check_account(void *ptr);

/* Figures that the system or the allocator may have changed a little. */
bool near(size_t a, size_t b);

/* What the out-of-memory handler was called with. */
struct oom {
    int calls;
    size_t size;
};

extern struct oom oom;

void note_oom(size_t size);
void check_handler(bool called, size_t size);

struct operation {
    const char *call;
    void (*run)(void);
    void (*prepare)(void); /* or NULL */
};

/* Has it meet the fault at each of the calls that it makes. */
void fail_by(int fault, int persistent, void (*once)(void));

/* Each fault alone, and with all that come after it. */
void fail_in_turn(void (*once)(void));

/* The operation that these two run: here, or in a thread that has yet to be counted and is gone afterwards. */
void choose_operation(const struct operation *what);
void operate(void);
void operate_in_thread(void);

/* Both, with every fault. */
void try_everywhere(const struct operation *what);

/* From here on an operation must leave as many files open as there are now. */
void note_descriptors(void);

/* Runs it in a child, which must come to its end. */
void pass_in_child(void (*body)(void));

/* For a child of one that met a fault: bytes in use are exact, and memory can be had. */
void use_in_child(void);

/* How often each fault was met, in all processes. */
void count_met_faults(void);
void print_met_faults(void);
int complain_of_faults_never_met(void);

#endif
