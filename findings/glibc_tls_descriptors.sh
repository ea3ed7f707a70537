#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# glibc up to 2.39, x86-64: a thread's first look at thread-local storage by a descriptor may change vector registers.
#
# Versions: Debian's libc6 2.36-9+deb12u14 (bookworm), 2.41-12+deb13u5 (trixie) and 2.43-7 (forky).
# A library that is loaded by a running process adds a thread-local number to its argument, which is in a vector
# register. Compilers expect that the call by way of the descriptor (-mtls-dialect=gnu2) keeps all of these. With
# 2.36 the sum is wrong where the thread's storage is made at that moment, and right from the second time on. glibc's
# bug 31372 says that it was mended in 2.40.
. "$(dirname "$0")/debian.sh"

cat > "$work/ask.c" << 'C'
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <pthread.h>
#include <stdio.h>

static double (*add)(double number);

static void *ask(void *unused)
{
    const char *first = add(1.5) == 1.5 ? "right" : "wrong";
    const char *second = add(1.5) == 1.5 ? "right" : "wrong";
    printf("glibc %s: first %s, then %s\n", gnu_get_libc_version(), first, second);
    return unused;
}

int main(int argc, char **argv)
{
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
    pthread_t thread;
    if (library == NULL) return 1;
    *(void **)&add = dlsym(library, "add");
    if (pthread_create(&thread, NULL, ask, NULL) != 0) return 1;
    return pthread_join(thread, NULL);
}
C

ask() {
    compile "$work/add.so" -shared -fPIC -mtls-dialect=gnu2 << 'C'
_Thread_local long numbers[1000];
double add(double number) { return number + (double)numbers[0]; }
C
    compile "$work/ask" < "$work/ask.c"
    run "$work/ask" "$work/add.so"
}

{
    debian bookworm libc6=2.36-9+deb12u14
    ask
    debian trixie libc6=2.41-12+deb13u5
    ask
    debian forky libc6=2.43-7
    ask
} | expect 'glibc 2.36: first wrong, then right
glibc 2.41: first right, then right
glibc 2.43: first right, then right'
