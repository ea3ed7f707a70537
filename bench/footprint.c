/* SPDX-License-Identifier: BSD-3-Clause */
/* Prints how many bytes of zmalloc's own a block has. */
#include <zmalloc.h>

#include <stdio.h>

int main(void)
{
    void *ptr = zmalloc(100);
    printf("%zu\n", zmalloc_size(ptr) - zmalloc_usable_size(ptr));
    zfree(ptr);
    return 0;
}
