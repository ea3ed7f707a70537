/* SPDX-License-Identifier: BSD-3-Clause */
/* For monitors: a sample taken and kept in one call, each figure in eight bytes, as Python's struct reads them. */
#ifndef FIGURES_H
#define FIGURES_H

#include "interpreter.h"

#include "struct_fields.h"

#include <stdbool.h>
#include <stdint.h>

#define ZM_FIGURE_NUMBER(name) FIGURE_##name,
enum { zmalloc_report_fields(ZM_FIGURE_NUMBER) REPORT_FIGURES, FIGURES = REPORT_FIGURES + 5 };

/* A report's, then what is counted, then the limits. */
struct figures {
    uint64_t all[FIGURES];
};

/* Of this process; glibc looks at all its free blocks meanwhile. No interpreter is needed. */
void read_own(int walk, struct figures *figures);

/* RSS of another process, which may be held by a descriptor. False if it has ended, or that can't be read. */
bool read_other(long pid, int descriptor, struct figures *figures);

/* What another process publishes: nothing, what is no page of figures, or a page. */
enum publishing { NOTHING, NO_PAGE, A_PAGE };
enum publishing publishing(long pid);

/* The clock that time.monotonic() reads. */
double steady_seconds(void);

/* As a sample of this moment. 0, or -1 with an error. */
int keep_figures(PyObject *records, const struct figures *figures);

/* A sample of this process, read, kept and returned. */
PyObject *take_own(int walk, PyObject *records);

/* As they are at one moment: all, or how many were taken. */
PyObject *copy_records(PyObject *records);
PyObject *copy_count(PyObject *records);

/* All, in a forked child: where a thread that is gone may hold the records for ever, others that nobody holds. */
PyObject *copy_in_child(PyObject *records);

/* Of another process, as Python has read and packed them. */
PyObject *take_packed(PyObject *packed, PyObject *records);

#endif
