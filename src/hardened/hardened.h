/* SPDX-License-Identifier: BSD-3-Clause */
/* What a hardened build knows and checks of every block, so that wrong use ends the program instead of harming it. */
#ifndef ZM_HARDENED_H
#define ZM_HARDENED_H

#include <stdbool.h>
#include <stddef.h>

#ifdef ZM_BUILD_HARDENED
enum { ZM_HARDENED = true };
#else
enum { ZM_HARDENED = false };
#endif

/*
 * Around each of the caller's blocks, in the allocator's, stands a redzone that is checked: the offset before it is
 * at least as long, and a multiple of the block's alignment. The caller's block is exactly as long as was asked for.
 */
enum { ZM_REDZONE = 16 };

/*
 * The caller's block within the allocator's, in which it has room. NULL if that is NULL, or if there is no memory to
 * note it; then the allocator has its block back.
 */
void *zm_hardened_open(void *block, size_t offset, size_t size);

/* Into quarantine, and what is there the longest out of it. NULL is ignored. */
void zm_hardened_free(void *ptr);

/* Moves what the block holds, as far as it goes, to a new one, and frees the old; does nothing if the new is NULL. */
void *zm_hardened_move(void *ptr, void *moved, size_t size);

size_t zm_hardened_usable_size(void *ptr);

/* The allocator's block that this one is in. */
void *zm_hardened_block_of(void *ptr);

/* One more of the same size and alignment, where the allocator would move it to. */
void *zm_hardened_allocate_for_move(void *ptr);

/* Gives the allocator all that is in quarantine. */
void zm_hardened_empty_quarantine(const char *call);

/*
 * What a call may be given. NULL is always right; otherwise, in this order: a block in use whose redzones are whole,
 * also of that size exactly, also with room for that many bytes; or anything but a block.
 */
void zm_hardened_expect(void *ptr, const char *call);
void zm_hardened_expect_size(void *ptr, size_t size, const char *call);
void zm_hardened_expect_room(void *ptr, size_t size, const char *call);
void zm_hardened_expect_foreign(void *ptr, const char *call);

#endif
