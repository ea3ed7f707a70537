/* SPDX-License-Identifier: BSD-3-Clause */
/* A process that ends, or becomes another program, while it is read: never half a sum. */
#include "process_errors.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sys/syscall.h>

/* A process that takes long to tell of: every other page has other permissions. */
enum { MANY_MAPPINGS = 20000 };

static void make_many_mappings(void)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    size_t size = MANY_MAPPINGS * page;
    char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(pages != MAP_FAILED);
    for (size_t i = 0; i < size; i += 2 * page) {
        pages[i] = 1;
        check(mprotect(pages + i, page, PROT_READ) == 0);
    }
}

struct attack {
    void (*strike)(struct attack *attack);
    pid_t child;
    int visits;
    int strike_at;
    int go[2];   /* a byte tells the child to become another program, */
    int gone[2]; /* whose end is closed when it has */
};

static int strike_in_the_middle(const struct zmalloc_mapping *mapping, void *context)
{
    (void) mapping;
    struct attack *attack = context;
    if (++attack->visits == attack->strike_at) {
        attack->strike(attack);
    }
    return 0;
}

static void leave_a_zombie(struct attack *attack)
{
    siginfo_t info;
    kill(attack->child, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t) attack->child, &info, WEXITED | WNOWAIT), 0);
}

static void leave_nothing(struct attack *attack)
{
    end_child(attack->child);
}

/* Another process with the same number, if this kernel lets us choose it. */
static void leave_a_successor(struct attack *attack)
{
    end_child(attack->child);
#ifdef SYS_clone3
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
            cgroup;
    } arguments = {
        .exit_signal = SIGCHLD,
        .set_tid = (uintptr_t) &attack->child,
        .set_tid_size = 1,
    };
    long child = syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            pause();
        }
    }
    if (child < 0) {
        print_message("no successor with the same number: %s\n", strerror(errno));
    }
#endif
}

static void check_attack(void (*strike)(struct attack *attack), int strike_at)
{
    struct attack attack = {.strike = strike, .child = start_child(make_many_mappings), .strike_at = strike_at};
    int result = zmalloc_mappings(attack.child, strike_in_the_middle, &attack);
    kill(attack.child, SIGKILL);
    waitpid(attack.child, NULL, 0);
    assert_int_equal(result, -ESRCH);
    assert_true(attack.visits >= strike_at && attack.visits < MANY_MAPPINGS);
}

static void test_killed_while_being_read(void **state)
{
    (void) state;
    check_attack(leave_a_zombie, 1);
    check_attack(leave_a_zombie, 5000);
    check_attack(leave_nothing, 100);
    check_attack(leave_a_successor, 100);
}

static void *kill_soon(void *context)
{
    const struct attack *attack = context;
    usleep((useconds_t) attack->strike_at);
    kill(attack->child, SIGKILL);
    return NULL;
}

/* It dies at any time: the sum is whole, or there is none. */
static void check_sums(const char *field, size_t least, int microseconds)
{
    enum { ROUNDS = 5 };
    int died = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct attack attack = {.child = start_child(make_many_mappings), .strike_at = round * microseconds};
        size_t whole;
        assert_int_equal(zmalloc_smap_bytes_by_field(field, attack.child, &whole), 0);
        assert_true(whole >= least * (size_t) sysconf(_SC_PAGESIZE));
        pthread_t killer;
        assert_int_equal(pthread_create(&killer, NULL, kill_soon, &attack), 0);
        for (int error = 0; error == 0;) {
            size_t bytes = 1;
            error = zmalloc_smap_bytes_by_field(field, attack.child, &bytes);
            assert_true(error == 0 || error == -ESRCH);
            assert_int_equal(bytes, error == 0 ? whole : 0);
            died += error != 0;
        }
        pthread_join(killer, NULL);
        assert_int_equal(waitpid(attack.child, NULL, 0), attack.child);
    }
    assert_int_equal(died, ROUNDS);
}

/* By smaps, as the rollup has no Size, and by the rollup. */
static void test_killed_while_being_summed(void **state)
{
    (void) state;
    check_sums("Size", MANY_MAPPINGS, 8000);
    check_sums("Rss", MANY_MAPPINGS / 2, 1300);
}

static void become_another_program(struct attack *attack)
{
    char byte;
    assert_int_equal(write(attack->go[1], "", 1), 1);
    close(attack->gone[1]);
    assert_int_equal(read(attack->gone[0], &byte, 1), 0);
}

/* The same process and the same number, but none of the memory that was being read. */
static void test_another_program_in_the_middle(void **state)
{
    (void) state;
    struct attack attack = {.strike = become_another_program, .strike_at = 100};
    assert_int_equal(pipe2(attack.go, O_CLOEXEC), 0);
    assert_int_equal(pipe2(attack.gone, O_CLOEXEC), 0);
    attack.child = fork();
    assert_true(attack.child >= 0);
    if (attack.child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        make_many_mappings();
        char byte;
        check(write(attack.gone[1], "", 1) == 1 && read(attack.go[0], &byte, 1) == 1);
        execlp("sleep", "sleep", "100", (char *) NULL);
        _exit(1);
    }
    char byte;
    assert_int_equal(read(attack.gone[0], &byte, 1), 1);
    int result = zmalloc_mappings(attack.child, strike_in_the_middle, &attack);
    int afterwards = error_of_all(attack.child);
    end_child(attack.child);
    close(attack.go[0]);
    close(attack.go[1]);
    close(attack.gone[0]);
    assert_int_equal(result, -ESRCH);
    assert_true(attack.visits < MANY_MAPPINGS);
    assert_int_equal(afterwards, 0);
}

static const struct CMUnitTest tests[] = {
    tidy(test_killed_while_being_read),
    tidy(test_killed_while_being_summed),
    tidy(test_another_program_in_the_middle),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
