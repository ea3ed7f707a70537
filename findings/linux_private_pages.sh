#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Linux: private pages (USS) are not what comes free when a process ends, if it shares memory by a descriptor.
#
# Versions: any Linux kernel from 4.14 on; no package is needed.
# A process maps a memfd of 64 MiB and fills it. Another one has the same memfd open and has not mapped it. The kernel
# counts all 64 MiB as private to the first, by the number of mappings; when it has ended, the memory is still there.
# If the first maps it twice, no page of it is private to anybody, though nobody else has it.
. "$(dirname "$0")/debian.sh"

root=
compile "$work/ask" << 'C'
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 64 << 20 };

static long private_mib(void)
{
    char line[300];
    long sum = 0, figure;
    FILE *smaps = fopen("/proc/self/smaps_rollup", "r");
    if (smaps == NULL) exit(1);
    while (fgets(line, sizeof line, smaps) != NULL)
        if (sscanf(line, "Private_Clean: %ld", &figure) == 1 || sscanf(line, "Private_Dirty: %ld", &figure) == 1)
            sum += figure;
    fclose(smaps);
    return sum >> 10;
}

static long held_mib(int memory)
{
    struct stat info;
    if (fstat(memory, &info) != 0) exit(1);
    return (long)(info.st_blocks * 512) >> 20;
}

static char *map(int memory)
{
    char *mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (mapped == MAP_FAILED) exit(1);
    return memset(mapped, 1, SIZE);
}

int main(void)
{
    int memory = memfd_create("shared", 0);
    if (memory < 0 || ftruncate(memory, SIZE) != 0) return 1;
    if (fork() == 0) {
        long before = private_mib();
        map(memory);
        printf("mapped once: %ld MiB private\n", private_mib() - before);
        map(memory);
        printf("mapped twice: %ld MiB private\n", private_mib() - before);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    printf("ended: %ld MiB are still held by a descriptor\n", held_mib(memory));
}
C
"$work/ask" | expect 'mapped once: 64 MiB private
mapped twice: 0 MiB private
ended: 64 MiB are still held by a descriptor'
