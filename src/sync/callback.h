/* SPDX-License-Identifier: BSD-3-Clause */
/* A function to call, and what to hand it: set by one thread while others call it. */
#ifndef ZM_HOOK_H
#define ZM_HOOK_H

/* Never changes and is never freed, so that a pointer to one is all that is ever swapped. */
struct zm_hook {
    void (*function)(void); /* of the type that the user of the hook knows it to be */
    void *context;
    const struct zm_hook *older;
};

/* The one for this pair. NULL: there is no memory for it. */
const struct zm_hook *zm_hook(void (*function)(void), void *context);

#endif
