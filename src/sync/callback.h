/* SPDX-License-Identifier: BSD-3-Clause */
/* A function to call, and what to hand it: set by one thread while others call it. */
#ifndef ZM_CALLBACK_H
#define ZM_CALLBACK_H

/* Never changes and is never freed, so that a pointer to one is all that is ever swapped. */
struct zm_callback {
    void (*function)(void); /* of the type that the user of the callback knows it to be */
    void *context;
    const struct zm_callback *older;
};

/* The one for this pair. NULL: there is no memory for it. */
const struct zm_callback *zm_callback(void (*function)(void), void *context);

#endif
