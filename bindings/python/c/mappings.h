/* SPDX-License-Identifier: BSD-3-Clause */
/* The mappings of a process as a list of named tuples. What many of them have in common is made once. */
#ifndef MAPPINGS_H
#define MAPPINGS_H

#include "interpreter.h"
#include "records.h"

PyObject *from_records(const struct records *records);

#endif
