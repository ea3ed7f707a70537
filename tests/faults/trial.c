/* SPDX-License-Identifier: BSD-3-Clause */
/* Fault loops, and what is checked after every operation. */
#include "trial.h"

#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct trial trial;

void check_at(const char *file, int line, bool holds, const char *condition)
{
    if (!holds) {
        fprintf(stderr, "%s:%d, %s %s, '%s' at call %u%s%s: not so: %s\n", file, line, trial.call, trial.where,
                faults_name(trial.fault), trial.nth, trial.persistent ? " and after" : "",
                trial.struck ? "" : " (not met)", condition);
        _exit(1);
    }
}

void name_trial(const char *call, const char *where)
{
    trial.call = call;
    trial.where = where;
}

int find_fault(const char *name)
{
    int fault = 0;
    while (strcmp(faults_name(fault), name) != 0) {
        fault++;
    }
    return fault;
}

void arm(void)
{
    trial.struck = false;
    faults_arm(trial.fault, trial.nth, trial.persistent);
}

void calm(void)
{
    trial.struck = faults_disarm() > 0;
}

void calm_again(void)
{
    trial.struck |= faults_disarm() > 0;
}

bool must_succeed(void)
{
    return !trial.struck || faults_is_harmless(trial.fault);
}

bool nothing_went_well(void)
{
    return trial.struck && trial.persistent && trial.nth == 1;
}

static void *bystanders[6];
static const size_t bystander_sizes[LENGTH(bystanders)] = {1, 24, 100, 4000, 20000, 300000};

void make_bystanders(void)
{
    for (unsigned i = 0; i < LENGTH(bystanders); i++) {
        bystanders[i] = zmalloc(bystander_sizes[i]);
        fill(bystanders[i], 0, bystander_sizes[i], i);
    }
}

/* Looking at all of them each time would take the time of all else. */
void check_bystanders(void)
{
    for (unsigned i = 0; i < LENGTH(bystanders); i++) {
        check(filled(bystanders[i], bystander_sizes[i], i));
    }
}

void check_account(void *ptr)
{
    size_t in_use = zmalloc_size(ptr);
    for (size_t i = 0; i < LENGTH(bystanders); i++) {
        in_use += zmalloc_size(bystanders[i]);
    }
    check(zmalloc_used_memory() == in_use);
    check(zmalloc_total_allocated() - zmalloc_total_freed() == in_use);
    check(zmalloc_peak_memory() >= in_use);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    check(folder != NULL);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

bool near(size_t a, size_t b)
{
    enum { SLACK = 512 << 10 };
    return a + SLACK >= b && b + SLACK >= a;
}

struct oom oom;

void note_oom(size_t size)
{
    oom.calls++;
    oom.size = size;
}

void check_handler(bool called, size_t size)
{
    check(oom.calls == called);
    check(!called || oom.size == size);
    oom.calls = 0;
}

/* How often each fault was met, in all processes. */
static unsigned long *met;

void count_met_faults(void)
{
    size_t size = (size_t) faults_count() * sizeof(met[0]);
    met = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(met != MAP_FAILED);
}

enum { MOST_CALLS = 100000 };

void fail_by(int fault, int persistent, void (*once)(void))
{
    trial.fault = fault;
    trial.persistent = persistent;
    trial.struck = true;
    for (trial.nth = 1; trial.struck; trial.nth++) {
        check(trial.nth < MOST_CALLS);
        once();
        met[fault] += trial.struck;
    }
}

void fail_in_turn(void (*once)(void))
{
    for (int fault = 0; fault < faults_count(); fault++) {
        for (int persistent = faults_is_lasting(fault); persistent < 2; persistent++) {
            fail_by(fault, persistent, once);
        }
    }
}

static const struct operation *operation;
static int descriptors;

void choose_operation(const struct operation *what)
{
    operation = what;
}

void note_descriptors(void)
{
    descriptors = open_descriptors();
}

/* Whatever it met, nothing is lost when it is over, and the library works. */
static void check_after(long blocks_before)
{
    check_account(NULL);
    check(faults_blocks() == blocks_before);
    check(open_descriptors() == descriptors);
    check(oom.calls == 0);
    void *ptr = zmalloc(10);
    check(ptr != NULL);
    check_account(ptr);
    zfree(ptr);
}

void operate(void)
{
    long blocks = faults_blocks();
    if (operation->prepare != NULL) {
        operation->prepare();
    }
    operation->run();
    check_after(blocks);
}

static void *run_operation(void *unused)
{
    (void) unused;
    faults_prepare_thread(trial.fault);
    operation->run();
    return NULL;
}

void operate_in_thread(void)
{
    pthread_t thread;
    long blocks = faults_blocks();
    if (operation->prepare != NULL) {
        operation->prepare();
    }
    check(pthread_create(&thread, NULL, run_operation, NULL) == 0);
    pthread_join(thread, NULL);
    check_after(blocks);
}

void try_everywhere(const struct operation *what)
{
    operation = what;
    name_trial(what->call, "in the first thread");
    fail_in_turn(operate);
    name_trial(what->call, "in a new thread");
    fail_in_turn(operate_in_thread);
    check_bystanders();
}

/* What must be true of a child that has been through something. */
void pass_in_child(void (*body)(void))
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        _exit(0);
    }
    check(waitpid(child, &status, 0) == child);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void use_in_child(void)
{
    check_account(NULL);
    void *ptr = zmalloc(1000);
    check_account(ptr);
    zfree(ptr);
}

void print_met_faults(void)
{
    unsigned long sum = 0;
    for (int i = 0; i < faults_count(); i++) {
        printf("figure: %lu faults injected: %s\n", met[i], faults_name(i));
        sum += met[i];
    }
    printf("figure: %lu faults injected\n", sum);
}

int complain_of_faults_never_met(void)
{
    int never = 0;
    for (int i = 0; i < faults_count(); i++) {
        if (met[i] == 0) {
            fprintf(stderr, "'%s' was never met\n", faults_name(i));
            never++;
        }
    }
    return never;
}
