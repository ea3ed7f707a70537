/* SPDX-License-Identifier: BSD-3-Clause */
/* Linked into each program and library of a coverage tree: tells the preloaded flush.c how its counts are written. */
#include <dlfcn.h>

void __gcov_dump(void);

__attribute__((constructor)) static void tell(void)
{
    void (*add)(void (*)(void));
    *(void **) &add = dlsym(RTLD_DEFAULT, "coverage_add");
    if (add != 0) {
        add(__gcov_dump);
    }
}
