/* SPDX-License-Identifier: BSD-3-Clause */
/* Says whether it runs with more rights than its caller's, and the setting that its caller may have tried to make. */
#include <zmalloc.h>

#include <stdio.h>
#include <sys/auxv.h>

int main(void)
{
    long dirty;
    long muzzy;
    zfree(zmalloc(1));
    if (zmalloc_decay(&dirty, &muzzy) != 0) {
        return 1;
    }
    printf("%lu %ld\n", getauxval(AT_SECURE), dirty);
    return 0;
}
