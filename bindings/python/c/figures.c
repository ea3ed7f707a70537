/* SPDX-License-Identifier: BSD-3-Clause */
/* See figures.h. */
#include "figures.h"

#include "locks.h"
#include "zmalloc.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
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

/* Of the same field, whose type is all that is asked of the report. */
#define UNKNOWN(name)                                                                                                \
    _Generic(report.name, size_t                                                                                     \
             : packed_size(ZMALLOC_UNKNOWN), int64_t                                                                 \
             : packed_difference(ZMALLOC_UNKNOWN_DIFFERENCE), double                                                 \
             : packed_ratio((double) NAN)),

struct sample {
    double monotonic;
    double wall;
    struct figures figures;
};

void read_own(int walk, struct figures *figures)
{
    struct zmalloc_report report = {.size = sizeof(report)};
    zmalloc_report(&report, walk);
    *figures = (struct figures){{
        zmalloc_report_fields(PACKED) packed_size(zmalloc_peak_memory()),
        packed_size(zmalloc_total_allocated()),
        packed_size(zmalloc_total_freed()),
        packed_limit(zmalloc_limit()),
        packed_limit(zmalloc_soft_limit()),
    }};
}

/* Nothing where nobody can tell. Whose page is stale may refresh it at any time. */
enum publishing publishing(long pid)
{
    struct zmalloc_published published = {.size = sizeof(published)};
    int error = zmalloc_published(pid, &published);
    bool nothing = error == -ENOENT || error == -ENOSYS || error == -EACCES;
    return error == 0 || error == -ESTALE ? A_PAGE : nothing ? NOTHING : NO_PAGE;
}

/* False if that can't be told: not by -1, and not in a process that has closed all its descriptors. */
static bool has_ended(int descriptor)
{
    struct pollfd asked = {.fd = descriptor, .events = POLLIN};
    return descriptor >= 0 && poll(&asked, 1, 0) == 1 && (asked.revents & POLLIN) != 0;
}

bool read_other(long pid, int descriptor, struct figures *figures)
{
    size_t rss;
    if (zmalloc_process_rss(pid, &rss) != 0 || has_ended(descriptor)) {
        return false;
    }
    const struct zmalloc_report report = {.size = 0};
    *figures =
        (struct figures){{zmalloc_report_fields(UNKNOWN) UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    figures->all[FIGURE_rss] = packed_size(rss);
    return true;
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

double steady_seconds(void)
{
    return seconds(STEADY_CLOCK);
}

/*
 * A bytearray keeps samples: how many were taken, and then places for the last ones. Times are read, and all of it is
 * written and copied, while the bytearray is held: so samples are kept in their order, and a copy has whole ones.
 */
static int keep_sample(PyObject *records, const struct figures *figures, struct sample *sample)
{
    uint64_t taken;
    size_t size = PyByteArray_CheckExact(records) ? (size_t) PyByteArray_GET_SIZE(records) : 0;
    if (size < sizeof(taken) + sizeof(struct sample)) {
        PyErr_SetString(PyExc_TypeError, "_take: no place for a sample");
        return -1;
    }
    *sample = (struct sample){steady_seconds(), seconds(CLOCK_REALTIME), *figures};
    char *start = PyByteArray_AS_STRING(records);
    memcpy(&taken, start, sizeof(taken));
    size_t place = taken % ((size - sizeof(taken)) / sizeof(*sample));
    memcpy(start + sizeof(taken) + place * sizeof(*sample), sample, sizeof(*sample));
    taken++;
    memcpy(start, &taken, sizeof(taken));
    return 0;
}

static int hold_and_keep(PyObject *records, const struct figures *figures, struct sample *sample)
{
    struct hold hold;
    begin_hold(&hold, records);
    int status = keep_sample(records, figures, sample);
    end_hold(&hold);
    return status;
}

int keep_figures(PyObject *records, const struct figures *figures)
{
    struct sample sample;
    return hold_and_keep(records, figures, &sample);
}

static bool are_records(PyObject *object)
{
    bool are = PyByteArray_CheckExact(object);
    if (!are) {
        PyErr_SetString(PyExc_TypeError, "_copy: these are no records");
    }
    return are;
}

/* The first bytes of them, or all if there are fewer. */
static PyObject *copy_bytes(PyObject *records, size_t most)
{
    if (!are_records(records)) {
        return NULL;
    }
    struct hold hold;
    begin_hold(&hold, records);
    size_t size = (size_t) PyByteArray_GET_SIZE(records);
    PyObject *copy =
        PyBytes_FromStringAndSize(PyByteArray_AS_STRING(records), (Py_ssize_t) (size < most ? size : most));
    end_hold(&hold);
    return copy;
}

PyObject *copy_records(PyObject *records)
{
    return copy_bytes(records, SIZE_MAX);
}

PyObject *copy_count(PyObject *records)
{
    return copy_bytes(records, sizeof(uint64_t));
}

PyObject *copy_in_child(PyObject *records)
{
    if (!are_records(records)) {
        return NULL;
    }
    return HAVE_GIL ? Py_NewRef(records)
                    : PyByteArray_FromStringAndSize(PyByteArray_AS_STRING(records), PyByteArray_GET_SIZE(records));
}

static PyObject *keep_and_return(PyObject *records, const struct figures *figures)
{
    struct sample sample;
    return hold_and_keep(records, figures, &sample) == 0
               ? PyBytes_FromStringAndSize((const char *) &sample, sizeof(sample))
               : NULL;
}

PyObject *take_own(int walk, PyObject *records)
{
    struct figures figures;
    PyThreadState *waiting = PyEval_SaveThread();
    read_own(walk, &figures);
    PyEval_RestoreThread(waiting);
    return keep_and_return(records, &figures);
}

PyObject *take_packed(PyObject *packed, PyObject *records)
{
    struct figures figures;
    if (!PyBytes_CheckExact(packed) || PyBytes_GET_SIZE(packed) != sizeof(figures)) {
        PyErr_SetString(PyExc_TypeError, "_take: these are no figures");
        return NULL;
    }
    memcpy(&figures, PyBytes_AS_STRING(packed), sizeof(figures));
    return keep_and_return(records, &figures);
}
