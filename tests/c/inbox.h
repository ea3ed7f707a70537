/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks that one thread leaves for another, which need not be there at the time. */
#ifndef INBOX_H
#define INBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum { INBOX = 32 };

struct inbox {
    pthread_mutex_t mutex;
    size_t length;
    unsigned char *blocks[INBOX];
};

/* Whether there was room. */
static inline bool inbox_put(struct inbox *inbox, unsigned char *block)
{
    pthread_mutex_lock(&inbox->mutex);
    bool fits = inbox->length < INBOX;
    if (fits) {
        inbox->blocks[inbox->length++] = block;
    }
    pthread_mutex_unlock(&inbox->mutex);
    return fits;
}

/* NULL: there is none. */
static inline unsigned char *inbox_take(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->mutex);
    unsigned char *block = inbox->length > 0 ? inbox->blocks[--inbox->length] : NULL;
    pthread_mutex_unlock(&inbox->mutex);
    return block;
}

#endif
