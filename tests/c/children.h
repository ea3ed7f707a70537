/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of processes share: children that wait to be looked at, and checks that are made inside of a child. */
#ifndef CHILDREN_H
#define CHILDREN_H

#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

/* A child that does what it is told and then waits to be killed. */
static inline pid_t start_child(void (*prepare)(void))
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prepare();
        if (write(ready[1], "", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    char byte;
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static inline void end_child(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static inline void nothing(void)
{
}

/* For children: cmocka's own checks would go on with the next test there. */
#define check(condition)                                                                                             \
    do {                                                                                                             \
        if (!(condition)) {                                                                                          \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                  \
            _exit(1);                                                                                                \
        }                                                                                                            \
    } while (0)

/* A child's way to say that it can't be tried here. */
enum { NOT_HERE = 77 };

static inline void not_here(const char *reason)
{
    fprintf(stderr, "skipped: %s\n", reason);
    _exit(NOT_HERE);
}

/* Runs it in a child, which must come to its end, or say that it can't be tried. */
static inline void run_in_child(void (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_HERE) {
        skip();
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("the child ended with status %#x", (unsigned) status);
    }
}

static inline void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text));
    close(fd);
}

/* Root there, and who it was everywhere else. */
static inline void enter_user_namespace(void)
{
    char user[32];
    char others[32];
    snprintf(user, sizeof(user), "0 %u 1", (unsigned) geteuid());
    snprintf(others, sizeof(others), "0 %u 1", (unsigned) getegid());
    if (unshare(CLONE_NEWUSER) != 0 || access("/proc/self/setgroups", W_OK) != 0) {
        not_here("this user may make no namespace");
    }
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", user);
    write_file("/proc/self/gid_map", others);
}

/* From here on, what this child mounts is its own affair. */
static inline void leave_mount_namespace(void)
{
    if (geteuid() != 0) {
        enter_user_namespace();
    }
    if (unshare(CLONE_NEWNS) != 0) {
        not_here("this user may make no mount namespace");
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        not_here("a changed root that is no mount point");
    }
}

static inline void become_nobody(void)
{
    enum { NOBODY = 65534 };
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        _exit(1);
    }
}

static inline int open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    int count = 0;
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static int descriptors_at_start;

static inline int note_descriptors(void **state)
{
    descriptors_at_start = open_descriptors();
    return note_used(state);
}

static inline int check_descriptors(void **state)
{
    return check_used(state) == 0 && open_descriptors() == descriptors_at_start ? 0 : -1;
}

/* A test that must leave the account and the open files as they were. */
#define tidy(test) cmocka_unit_test_setup_teardown(test, note_descriptors, check_descriptors)

#endif
