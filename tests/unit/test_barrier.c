/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The barrier in all threads. One thread stores and then loads by plain instructions, another stores, has the
 * barrier, and loads: never do both miss the other's store. And the system may refuse it, before and after it was
 * prepared.
 */
#include "os/os.h"

#include "../c/threads.h"

#include <errno.h>

#if !defined(__linux__)
int main(void)
{
    check(zm_os_prepare_barrier() == -ENOSYS && zm_os_barrier_in_all_threads() == -ENOSYS);
    puts("skipped: this system has none");
    return SKIPPED;
}
#else

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { ROUNDS = 30000, SECONDS = 2 };

static _Alignas(128) atomic_uint of_plain;
static _Alignas(128) atomic_uint of_fenced;
static _Alignas(128) atomic_uint next_round;
static _Alignas(128) atomic_uint done;
static atomic_bool ends;
static unsigned seen_by_plain;

/* Spins, as a thread that sleeps passes a barrier by itself; but not for ever. */
static void wait_for(atomic_uint *round, unsigned value)
{
    enum { SPINS = 20000 };
    for (unsigned i = 0; atomic_load_explicit(round, memory_order_acquire) != value; i++) {
        if (i % SPINS == SPINS - 1) {
            sched_yield();
        }
    }
}

static void *store_and_load(void *argument)
{
    unsigned round = 1;
    for (wait_for(&next_round, round); !atomic_load(&ends); wait_for(&next_round, ++round)) {
        atomic_store_explicit(&of_plain, round, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        seen_by_plain = atomic_load_explicit(&of_fenced, memory_order_relaxed);
        atomic_store_explicit(&done, round, memory_order_release);
    }
    return argument;
}

/* On a machine that has other work a round may take long. */
static void one_of_two_sees_the_other(unsigned scale)
{
    pthread_t plain = start(store_and_load, NULL);
    time_t end = time(NULL) + SECONDS * (time_t) scale;
    unsigned round = 1;
    for (; round <= ROUNDS * scale && time(NULL) < end; round++) {
        atomic_store_explicit(&next_round, round, memory_order_release);
        atomic_store_explicit(&of_fenced, round, memory_order_relaxed);
        check(zm_os_barrier_in_all_threads() == 0);
        unsigned seen = atomic_load_explicit(&of_plain, memory_order_relaxed);
        wait_for(&done, round);
        check(seen == round || seen_by_plain == round);
    }
    atomic_store(&ends, true);
    atomic_store(&next_round, round);
    join(plain);
}

static int status_of_child(void (*run)(void))
{
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        run();
        _exit(0);
    }
    int status;
    check(waitpid(child, &status, 0) == child);
    check(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void have_it_as_a_child(void)
{
    check(zm_os_barrier_in_all_threads() == 0);
}

static void refuse_by_filter(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof(steps) / sizeof(steps[0]), steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        _exit(SKIPPED);
    }
}

static void ask_where_it_is_refused(void)
{
    refuse_by_filter();
    errno = ERANGE;
    check(zm_os_barrier_in_all_threads() == -EPERM && zm_os_prepare_barrier() == -EPERM);
    check(errno == ERANGE);
}

int main(int argc, char **argv)
{
    errno = ERANGE;
    int error = zm_os_prepare_barrier();
    check(errno == ERANGE);
    if (error != 0) {
        check(zm_os_barrier_in_all_threads() < 0);
        printf("skipped: this system has none: %s\n", strerror(-error));
        return SKIPPED;
    }
    one_of_two_sees_the_other(scale_from(argc, argv));
    check(status_of_child(have_it_as_a_child) == 0);
    int refused = status_of_child(ask_where_it_is_refused);
    check(refused == 0 || refused == SKIPPED);
    return 0;
}

#endif
