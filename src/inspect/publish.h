/* SPDX-License-Identifier: BSD-3-Clause */
/* What the report does for who reads this process's figures from outside. */
#ifndef ZM_PUBLISH_H
#define ZM_PUBLISH_H

#include "zmalloc.h"

/* If they are published. */
void zm_publish_refresh(const struct zmalloc_report *report);

#endif
