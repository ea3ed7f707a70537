/* SPDX-License-Identifier: BSD-3-Clause */
/* Built with _FORTIFY_SOURCE=3 too: writes past the size that it asked for, and must be aborted. */
#include "zmalloc.h"

#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
    char *block = zmalloc(size);
    memset(block, 1, size + 1);
    zfree(block);
    return 0;
}
