/* SPDX-License-Identifier: BSD-3-Clause */
/* Mappings where the kernel tells them in records and counts of pages. No system's headers: it is tested on any. */
#ifndef ZM_REGION_H
#define ZM_REGION_H

#include "os/mapping.h"

/* The first three are what macOS and FreeBSD have them as. */
enum { ZM_REGION_READ = 1, ZM_REGION_WRITE = 2, ZM_REGION_EXECUTE = 4, ZM_REGION_SHARED = 8 };

/* Begins a mapping with its field Size. The path stays the caller's; without one there is no offset in a file. */
void zm_region_begin(struct zm_mapping *mapping, uint64_t begin, uint64_t end, unsigned permissions);
void zm_region_is_of_file(struct zm_mapping *mapping, const char *path, uint64_t offset);

/* Adds a field that is told in pages. */
void zm_region_add(struct zm_mapping *mapping, const char *field, uint64_t pages, size_t page_size);

/* Finds the mapping at the address or the first one above: 1; 0 if there is none, or a negative errno. */
typedef int zm_region_finder(void *context, uint64_t address, struct zm_mapping *mapping);

/*
 * Visits all that can be found, from the lowest address up. Returns what the visitor says once it has enough; a
 * process without any mapping has no memory: -ESRCH.
 */
int zm_region_visit_all(zm_region_finder *find, void *finder, zm_mapping_visitor *visit, void *context);

/*
 * A visitor that adds a mapping's fields to the struct zm_fields in its context, except Rss. That is the kernel's own
 * sum for the process: mappings are told with pages that other processes hold too, or without those in the shared
 * libraries.
 */
zm_mapping_visitor zm_region_sum;

/*
 * Records of different lengths, one after another, each with its length as an int at its start. Returns the one at
 * *offset, which is moved on to the next; NULL at the end, and where what follows is shorter than least or not whole.
 */
const void *zm_region_next_record(const void *records, size_t length, size_t *offset, size_t least);

#endif
