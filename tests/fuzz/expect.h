/* SPDX-License-Identifier: BSD-3-Clause */
/* What a fuzzer says when something is not as it should be; then it ends. */
#ifndef EXPECT_H
#define EXPECT_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static inline void expect(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "not so: %s\n", what);
        abort();
    }
}

#endif
