/* SPDX-License-Identifier: BSD-3-Clause */
/* A stranger's program, for compilers of C and of C++. */
#include <zmalloc.h>
#include <stdio.h>
int main(void)
{
    void *block = zmalloc(100);
    zfree(block);
    puts(ZMALLOC_LIB);
    return zmalloc_used_memory() != 0;
}
