/* A stranger's program, in C and in C++. */
#include <zmalloc.h>
#include <stdio.h>
int main(void) { void *block = zmalloc(100); zfree(block); puts(ZMALLOC_LIB); return zmalloc_used_memory() != 0; }
