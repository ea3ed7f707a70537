/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults before main: the program runs itself again, with the fault in its environment. */
#include "operations.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>

enum { WENT_WELL = 3, WENT_WELL_AND_MET_IT = 4, A_MINUTE = 60 };

static const char own_path[] = "/proc/self/exe";
static const char *headers_folder;

static void *use_everything_in_thread(void *unused)
{
    (void) unused;
    use_everything();
    return NULL;
}

/* The process that was started so: it lacks what could not be had, and its account is exact all the same. */
int live_with_it(bool struck)
{
    pthread_t thread;
    name_trial("start", getenv("ZMALLOC_FAULT"));
    trial.fault = 0;
    trial.nth = UINT_MAX; /* nothing more */
    alarm(A_MINUTE);      /* it must not hang either */
    check(zmalloc_used_memory() == 0);
    make_bystanders();
    use_everything();
    check(pthread_create(&thread, NULL, use_everything_in_thread, NULL) == 0);
    pthread_join(thread, NULL);
    check_account(NULL);
    pass_in_child(use_in_child);
    check_bystanders();
    return struck ? WENT_WELL_AND_MET_IT : WENT_WELL;
}

static void start_again(void)
{
    char text[64];
    int status;
    snprintf(text, sizeof(text), "%d %u %d", trial.fault, trial.nth, trial.persistent);
    fflush(NULL);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("ZMALLOC_FAULT", text, 1);
        execl(own_path, own_path, headers_folder, (char *) NULL);
        _exit(1);
    }
    check(waitpid(child, &status, 0) == child && WIFEXITED(status));
    check(WEXITSTATUS(status) == WENT_WELL || WEXITSTATUS(status) == WENT_WELL_AND_MET_IT);
    trial.struck = WEXITSTATUS(status) == WENT_WELL_AND_MET_IT;
}

void try_start(const char *headers)
{
    headers_folder = headers;
    name_trial("start", "");
    fail_in_turn(start_again);
}
