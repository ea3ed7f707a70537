/* SPDX-License-Identifier: BSD-3-Clause */
/* See figures.h. */
#include "figures.h"

#include "struct_fields.h"
#include "zmalloc.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

static uint64_t packed_size(size_t size)
{
    return size != ZMALLOC_UNKNOWN ? size : UINT64_MAX;
}

static uint64_t packed_difference(int64_t difference)
{
    return (uint64_t) difference;
}

static uint64_t packed_ratio(double ratio)
{
    uint64_t bits;
    memcpy(&bits, &ratio, sizeof(bits));
    return bits;
}

static uint64_t packed_limit(size_t limit)
{
    return limit != 0 ? limit : UINT64_MAX;
}

#define PACKED(name)                                                                                                 \
    _Generic(report.name, size_t : packed_size, int64_t : packed_difference, double : packed_ratio)(report.name),
#define NUMBER(name) FIGURE_##name,
enum { zmalloc_report_fields(NUMBER) REPORT_FIGURES, FIGURES = REPORT_FIGURES + 5 };

struct sample {
    double monotonic;
    double wall;
    uint64_t figures[FIGURES];
};

static void read_figures(int walk, uint64_t *figures)
{
    struct zmalloc_report report = {.size = sizeof(report)};
    zmalloc_report(&report, walk);
    const uint64_t all[FIGURES] = {
        zmalloc_report_fields(PACKED) packed_size(zmalloc_peak_memory()),
        packed_size(zmalloc_total_allocated()),
        packed_size(zmalloc_total_freed()),
        packed_limit(zmalloc_limit()),
        packed_limit(zmalloc_soft_limit()),
    };
    memcpy(figures, all, sizeof(all));
}

/* The clock that time.monotonic() reads. */
#ifdef CLOCK_UPTIME_RAW
enum { STEADY_CLOCK = CLOCK_UPTIME_RAW };
#else
enum { STEADY_CLOCK = CLOCK_MONOTONIC };
#endif

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}

/*
 * A bytearray keeps samples: how many were taken, and then places for the last ones. Times are read, and all of it is
 * written, under the interpreter's lock: so samples are kept in their order, and whoever copies it has whole ones.
 */
static PyObject *keep_sample(PyObject *records, const uint64_t *figures)
{
    uint64_t taken;
    size_t size = PyByteArray_CheckExact(records) ? (size_t) PyByteArray_GET_SIZE(records) : 0;
    if (size < sizeof(taken) + sizeof(struct sample)) {
        PyErr_SetString(PyExc_TypeError, "_take: no place for a sample");
        return NULL;
    }
    struct sample sample = {.monotonic = seconds(STEADY_CLOCK), .wall = seconds(CLOCK_REALTIME)};
    memcpy(sample.figures, figures, sizeof(sample.figures));
    char *start = PyByteArray_AS_STRING(records);
    memcpy(&taken, start, sizeof(taken));
    size_t place = taken % ((size - sizeof(taken)) / sizeof(sample));
    memcpy(start + sizeof(taken) + place * sizeof(sample), &sample, sizeof(sample));
    taken++;
    memcpy(start, &taken, sizeof(taken));
    return PyBytes_FromStringAndSize((const char *) &sample, sizeof(sample));
}

PyObject *take_own(int walk, PyObject *records)
{
    uint64_t figures[FIGURES];
    PyThreadState *waiting = PyEval_SaveThread();
    read_figures(walk, figures);
    PyEval_RestoreThread(waiting);
    return keep_sample(records, figures);
}

PyObject *take_packed(PyObject *packed, PyObject *records)
{
    uint64_t figures[FIGURES];
    if (!PyBytes_CheckExact(packed) || PyBytes_GET_SIZE(packed) != sizeof(figures)) {
        PyErr_SetString(PyExc_TypeError, "_take: these are no figures");
        return NULL;
    }
    memcpy(figures, PyBytes_AS_STRING(packed), sizeof(figures));
    return keep_sample(records, figures);
}
