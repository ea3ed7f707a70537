/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer on the records that FreeBSD tells mappings in: each that is handed out lies within the input, none is
 * left out, and the end is where a plain reader sees it. An input's last byte says how short a record may be.
 */
#include "expect.h"
#include "os/unix/region.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    size_t least = sizeof(int) + data[size - 1] % 64;
    size_t length = size - 1;
    char *records = malloc(length);
    memcpy(records, data, length);
    size_t offset = 0;
    for (size_t begin = 0;; begin = offset) {
        const char *record = zm_region_next_record(records, length, &offset, least);
        int told = 0;
        memcpy(&told, records + begin, length - begin < sizeof(told) ? length - begin : sizeof(told));
        bool whole = length - begin >= sizeof(told) && told > 0 && (unsigned) told >= least &&
                     (unsigned) told <= length - begin;
        expect((record != NULL) == whole, "a record, or the end");
        if (record == NULL) {
            expect(offset == begin, "no step beyond the end");
            break;
        }
        expect(record == records + begin && offset == begin + (unsigned) told, "one record after another");
    }
    free(records);
    return 0;
}
