/* SPDX-License-Identifier: BSD-3-Clause */
/* What one question asks of another. */
#ifndef ZM_INSPECT_ALLOCATOR_H
#define ZM_INSPECT_ALLOCATOR_H

#include "allocator/allocator.h"

/* All figures are known or ZM_UNKNOWN afterwards, after an error too. */
int zm_inspect_allocator(struct zm_allocator_info *info);

#endif
