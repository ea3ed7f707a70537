/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses the text of /proc/PID/smaps, or of smaps_rollup, which is one mapping that stands for all. */
#ifndef ZM_SMAPS_H
#define ZM_SMAPS_H

#include "os/linux/lines.h"
#include "os/mapping.h"

#include <stdbool.h>

/* The lines of fields as a kernel writes them have 28 characters. If there are longer ones, fewer lines are kept. */
enum { ZM_KEPT_LINE = 32 };

struct zm_smaps {
    struct zm_lines lines;
    char line[ZM_LONGEST_LINE]; /* that is put together */
    zm_mapping_visitor *visit;
    void *context;
    bool in_mapping; /* the one below has begun */
    struct zm_mapping mapping;
    char path[ZM_LONGEST_LINE + 1];
    struct {
        size_t lines;
        size_t ends[ZM_MOST_FIELDS + 1]; /* of each line in the text; the one before the first ends at 0 */
        char text[ZM_MOST_FIELDS * ZM_KEPT_LINE];
    } kept; /* the lines that the first of the mapping's fields, or of the one before it, are from */
};

void zm_smaps_begin(struct zm_smaps *smaps, zm_mapping_visitor *visit, void *context);

/*
 * A piece of the text, of any length. A mapping is visited when the next one begins, and the last by the end. Both
 * return 0, or what the visitor returned when it had enough; nothing more may be put then.
 */
int zm_smaps_put(struct zm_smaps *smaps, const char *piece, size_t length);
int zm_smaps_end(struct zm_smaps *smaps);

#endif
