/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses the text of /proc/PID/smaps, or of smaps_rollup, which is one mapping that stands for all. */
#ifndef ZM_SMAPS_H
#define ZM_SMAPS_H

#include "os/linux/lines.h"
#include "os/mapping.h"

#include <stdbool.h>

/* The lines of fields as a kernel writes them have 27 characters. Longer ones are not kept. */
enum { ZM_KEPT_LINE = 32 };

struct zm_smaps {
    struct zm_lines lines;
    zm_mapping_visitor *visit;
    void *context;
    bool in_mapping; /* the one below has begun */
    struct zm_mapping mapping;
    char path[ZM_LONGEST_LINE + 1];
    struct {
        size_t length; /* 0: none */
        char text[ZM_KEPT_LINE];
    } kept[ZM_MOST_FIELDS]; /* the line that each of the mapping's fields, or of the one before, is from */
};

void zm_smaps_begin(struct zm_smaps *smaps, zm_mapping_visitor *visit, void *context);

/*
 * A piece of the text, of any length. A mapping is visited when the next one begins, and the last by the end. Both
 * return 0, or what the visitor returned when it had enough; nothing more may be put then.
 */
int zm_smaps_put(struct zm_smaps *smaps, const char *piece, size_t length);
int zm_smaps_end(struct zm_smaps *smaps);

#endif
