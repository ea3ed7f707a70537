# SPDX-License-Identifier: BSD-3-Clause
"""A Monitor: reports over time, as many as there is room for."""

from __future__ import annotations

import atexit
import csv
import json
import math
import os
import select
import struct
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from io import StringIO
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from . import _zmalloc

if TYPE_CHECKING:
    File = str | os.PathLike[str] | IO[str]

MOST_EVENTS = 1024
LONGEST_EVENT = 100


class Sample(NamedTuple):
    """What a Monitor saw at one moment: two clocks in seconds, the fields of a Report, and what has been counted.

    What can't be told is None: of another process all but rss, and what the walk tells. All figures are bytes but for
    the two ratios. help(zmalloc.Report) says more of each.
    """

    monotonic: float
    wall: float
    used: int | None
    allocated: int | None
    active: int | None
    resident: int | None
    rss: int | None
    allocator_overhead_bytes: int | None
    allocator_frag_bytes: int | None
    allocator_rss_bytes: int | None
    rss_overhead_bytes: int | None
    mapped: int | None
    retained: int | None
    metadata: int | None
    mem_fragmentation_ratio: float | None
    allocator_frag_smallbins_ratio: float | None
    pss: int | None
    uss: int | None
    private_dirty: int | None
    swap: int | None
    huge_pages: int | None
    peak: int | None
    total_allocated: int | None
    total_freed: int | None


class Event(NamedTuple):
    """Something that happened while a Monitor ran: when, by both clocks in seconds, and what."""

    monotonic: float
    wall: float
    name: str


class Rates(NamedTuple):
    """Bytes allocated, and freed, a second."""

    allocated: float
    freed: float


FIGURES = Sample._fields[2:]
CLOCKS = {"monotonic": "seconds of the clock that never goes back", "wall": "seconds since 1970 began, UTC"}
COUNTED = {"peak": "see peak_memory", "total_allocated": "bytes ever allocated", "total_freed": "bytes ever freed"}
RATIOS = ("mem_fragmentation_ratio", "allocator_frag_smallbins_ratio")
FIELD_OF_FIGURE = {"rss": "Rss", "pss": "Pss", "private_dirty": "Private_Dirty", "swap": "Swap",
                   "huge_pages": "AnonHugePages"}  # fmt: skip


def _describe(owner: type, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        getattr(owner, name).__doc__ = text


_describe(Sample, {name: getattr(_zmalloc.Report, name, Sample).__doc__ for name in FIGURES} | CLOCKS | COUNTED)
_describe(Event, {**CLOCKS, "name": "what happened"})
_describe(Rates, {"allocated": "bytes allocated a second", "freed": "bytes freed a second"})

# A sample as it is kept; what is None is a number that no figure can be.
_RECORD = struct.Struct("=2d" + "".join("d" if name in RATIOS else "q" for name in FIGURES))
_UNKNOWN = [math.nan if name in RATIOS else -(2**63) for name in FIGURES]


def _optional(module: str, extra: str) -> Any:
    """A module of a package that zmalloc can do without."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        what = f"this needs {package}, which can't be imported: install it, or zmalloc[{extra}]"
        raise ImportError(what, name=package) from error


def _release(lock: threading.Lock) -> None:
    """Lets who waits for it go on, once and for all."""
    with suppress(RuntimeError):
        lock.release()


class _Own:
    """This process, as the source of figures."""

    def read(self, walk: bool) -> list[float | None]:
        report: tuple[float | None, ...] = _zmalloc.zmalloc_report(walk)
        return [*report, _zmalloc.zmalloc_peak_memory(), _zmalloc.zmalloc_total_allocated(),
                _zmalloc.zmalloc_total_freed()]  # fmt: skip


class _Other:
    """Another process, of which the kernel tells. Where it can be held, its number can't pass to a third unseen."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._descriptor = -1
        _zmalloc.zmalloc_process_rss(pid)
        with suppress(OSError, AttributeError):  # old kernels, other systems, a thread's number
            self._descriptor = os.pidfd_open(pid)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _has_ended(self) -> bool:
        if self._descriptor < 0:
            return False
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def read(self, walk: bool) -> list[float | None]:
        figures: dict[str, int | None] = {}
        if walk:
            sums = _zmalloc.zmalloc_smaps(self._pid)
            figures = {name: sums.get(field) for name, field in FIELD_OF_FIGURE.items()}
            if {"Private_Clean", "Private_Dirty"} <= sums.keys():
                figures["uss"] = sums["Private_Clean"] + sums["Private_Dirty"]
        else:
            figures["rss"] = _zmalloc.zmalloc_process_rss(self._pid)
        if self._has_ended():
            raise ProcessLookupError(f"Monitor: process {self._pid} has ended")
        return [figures.get(name) for name in FIGURES]


# All monitors; replaced and never changed, so that it can be read without a lock.
_monitors: tuple[weakref.ref[Monitor], ...] = ()
_monitors_lock = threading.Lock()


def _add(monitor: Monitor) -> None:
    global _monitors
    with _monitors_lock:
        _monitors = (*(each for each in _monitors if each() is not None), weakref.ref(monitor))


def _living() -> list[Monitor]:
    return [monitor for monitor in (each() for each in _monitors) if monitor is not None]


def mark_running(event: str) -> None:
    """Marks the event in every Monitor that runs."""
    for monitor in _living():
        if monitor.running:
            monitor.mark(event)


def _after_fork() -> None:
    """In the child no thread of a monitor is left, and who held a lock may be gone."""
    global _monitors_lock
    _monitors_lock = threading.Lock()
    for monitor in _living():
        monitor._after_fork()


def _at_exit() -> None:
    for monitor in _living():
        monitor._halt()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)


def _sample_on_time(reference: weakref.ref[Monitor], wake: threading.Lock, interval: float) -> None:
    """What a monitor's thread does, until the lock can be had. It does not keep the monitor alive."""
    due = time.monotonic() + interval
    while not wake.acquire(timeout=min(max(due - time.monotonic(), 0), threading.TIMEOUT_MAX)):
        monitor = reference()
        if monitor is None or not monitor._try_sample():
            return
        del monitor
        due += interval * (1 + max(0, (time.monotonic() - due) // interval))  # what was missed is not made up for


class Monitor:
    """Samples of where the memory is, over time: of this process its report, of another (pid) what the kernel tells.

    interval is in seconds: from start() to stop(), or in a `with` block, a thread takes a sample that often, and one
    at the start and at the end; with None there is no thread, and the caller calls sample(). The last `length` samples
    are kept, in memory that is taken at once: `nbytes`. walk is report()'s. Of another process only rss is known, with
    the walk pss, uss, private_dirty, swap and huge_pages too.

    All may be called from any thread. A sample that can't be taken is counted in `missed` and `error` tells why; when
    the process watched has ended the monitor stops, with an event "process ended". A monitor that nobody holds ends,
    and so do all before the interpreter does. In a forked child a monitor is stopped: it keeps its samples, with an
    event "fork", and can be started anew; one of this process then watches the child. zmalloc.purge() marks itself, as
    "purge", in all monitors that run.

    A sample takes about as long as report(): with libc the longer the more free blocks there are (several milliseconds
    for 30,000), and with the walk the more memory there is.

    Errors: TypeError, ValueError; for another process those of rss and smaps.

    >>> with zmalloc.Monitor(interval=0.01) as monitor:
    ...     block = zmalloc.Block(1 << 20)
    ...     monitor.mark("a block of 1 MiB")
    >>> monitor.samples()[-1].used - monitor.samples()[0].used >= 1 << 20
    True
    >>> [event.name for event in monitor.events()]
    ['a block of 1 MiB']
    """

    def __init__(
        self, interval: float | None = 1.0, length: int = 3600, walk: bool = False, pid: int | None = None
    ) -> None:
        if interval is not None and (isinstance(interval, bool) or not isinstance(interval, (int, float))):
            raise TypeError(f"Monitor: argument 'interval' must be a number or None, not {type(interval).__name__}")
        if interval is not None and not 0 < interval < math.inf:
            raise ValueError(f"Monitor: argument 'interval' must be above 0 and finite, not {interval}")
        if isinstance(length, bool) or not isinstance(length, int):
            raise TypeError(f"Monitor: argument 'length' must be an int, not {type(length).__name__}")
        if length < 1:
            raise ValueError(f"Monitor: argument 'length' must be at least 1, not {length}")
        self._interval = interval
        self._length = length
        self._walk = bool(walk)
        self._pid = None if pid == os.getpid() else pid
        self._source: _Own | _Other = _Own() if self._pid is None else _Other(self._pid)
        self._records = bytearray(_RECORD.size * length)
        self._taken = 0
        self._missed = 0
        self._error: Exception | None = None
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._lock = threading.RLock()  # signal handlers may come in between
        self._running = False
        self._thread: threading.Thread | None = None
        self._wake = threading.Lock()
        _add(self)

    @property
    def interval(self) -> float | None:
        """Seconds from one sample to the next; None if the caller takes them."""
        return self._interval

    @property
    def length(self) -> int:
        """How many samples are kept at most."""
        return self._length

    @property
    def pid(self) -> int | None:
        """The process watched; None for this one."""
        return self._pid

    @property
    def walk(self) -> bool:
        """Whether the kernel is asked to walk the page tables for each sample."""
        return self._walk

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped, nor stopped by itself."""
        return self._running

    @property
    def taken(self) -> int:
        """How many samples were taken so far, those included that are no longer kept."""
        return self._taken

    @property
    def missed(self) -> int:
        """How many samples could not be taken by the monitor itself."""
        return self._missed

    @property
    def error(self) -> Exception | None:
        """Why the last one missed could not be taken; None if none was."""
        return self._error

    @property
    def nbytes(self) -> int:
        """Bytes that the samples take, from the beginning; up to 1,024 events, the last ones, come on top of that."""
        return len(self._records)

    def start(self) -> None:
        """Takes a sample and starts the thread; does nothing if the monitor runs. Errors as of sample()."""
        with self._lock:
            if self._running:
                return
            self.sample()
            if self._interval is not None:
                self._wake = threading.Lock()
                self._wake.acquire()
                wake = self._wake
                reference = weakref.ref(self, lambda _: _release(wake))
                arguments = (reference, wake, float(self._interval))
                thread = threading.Thread(target=_sample_on_time, args=arguments, name="zmalloc-monitor", daemon=True)
                thread.start()
                self._thread = thread
            self._running = True

    def stop(self) -> None:
        """Ends the thread and takes a last sample if it can be had; does nothing if the monitor does not run."""
        if self._halt():
            self._try_sample()

    def sample(self) -> Sample:
        """Takes a sample now and returns it. Of another process, errors as of rss, with the walk as of smaps."""
        return _decoded(self._take())

    def mark(self, name: str) -> None:
        """Keeps an event of that name, cut at 100 characters, with the time; the last 1,024 are kept."""
        if not isinstance(name, str):
            raise TypeError(f"mark: argument 'name' must be a str, not {type(name).__name__}")
        self._events.append(Event(time.monotonic(), time.time(), name[:LONGEST_EVENT]))

    def samples(self) -> list[Sample]:
        """The samples that are kept, oldest first."""
        with self._lock:
            records, taken = bytes(self._records), self._taken
        first = taken % self._length * _RECORD.size if taken > self._length else 0
        ordered = records[first:] + records[:first] if first else records[: min(taken, self._length) * _RECORD.size]
        return [_decoded(record) for record in _RECORD.iter_unpack(ordered)]

    def events(self) -> list[Event]:
        """The events that are kept, oldest first."""
        while True:
            with suppress(RuntimeError):  # another thread marked one meanwhile
                return list(self._events)

    def rates(self) -> Rates | None:
        """Bytes allocated and freed a second, from the first sample kept to the last.

        None before there are two with some time between them, and for another process. Of any two samples: the
        difference of their total_allocated, or total_freed, by that of their times.
        """
        samples = self.samples()
        if len(samples) < 2:
            return None
        first, last = samples[0], samples[-1]
        seconds = last.monotonic - first.monotonic
        if (seconds <= 0 or first.total_allocated is None or first.total_freed is None
                or last.total_allocated is None or last.total_freed is None):  # fmt: skip
            return None
        span = 2 * (sys.maxsize + 1)  # where the totals wrap
        return Rates((last.total_allocated - first.total_allocated) % span / seconds,
                     (last.total_freed - first.total_freed) % span / seconds)  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """All that is known, as to_json() has it."""
        return {
            "zmalloc": _zmalloc.ZMALLOC_VERSION,
            "allocator": _zmalloc.zmalloc_allocator() if self._pid is None else None,
            "pid": os.getpid() if self._pid is None else self._pid,
            "interval": self._interval,
            "walk": self._walk,
            "taken": self._taken,
            "missed": self._missed,
            "error": None if self._error is None else str(self._error),
            "samples": [sample._asdict() for sample in self.samples()],
            "events": [event._asdict() for event in self.events()],
        }

    def to_json(self, file: File | None = None) -> str:
        """The samples and events as JSON, into a file (a path, or one open for text) as well if there is one.

        An object with lists of samples and events, each an object by the names of Sample and Event; unknown is null.
        """
        text = json.dumps(self.to_dict(), allow_nan=False)
        _write(text + "\n", file)
        return text

    def to_csv(self, file: File | None = None) -> str:
        """The samples as CSV, a line each after one of names, into a file (as of to_json) as well if there is one.

        Unknown is empty. The last column, event, has the names of the events since the sample before, with "; "
        between them; that of the last sample also of those after it.
        """
        samples, events = self.samples(), self.events()
        names: list[list[str]] = [[] for _ in samples]
        for event in events if samples else []:
            place = next((i for i, sample in enumerate(samples) if sample.monotonic >= event.monotonic), -1)
            names[place].append(event.name)
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*Sample._fields, "event"])
        writer.writerows([*sample, "; ".join(those)] for sample, those in zip(samples, names))
        _write(text.getvalue(), file)
        return text.getvalue()

    def to_pandas(self) -> Any:
        """The samples as a pandas.DataFrame: a row each, its index the wall clock (UTC), the figures its columns.

        Bytes are of pandas' type Int64, and unknown ones NA; the ratios are float64, and unknown ones NaN. The events
        are in `attrs["events"]`. ImportError without pandas.
        """
        pandas = _optional("pandas", "pandas")
        samples = self.samples()
        index = pandas.to_datetime([sample.wall for sample in samples], unit="s", utc=True).rename("wall")
        columns: dict[str, Any] = {}
        for name in Sample._fields:
            if name != "wall":
                kind = "float64" if name in (*RATIOS, "monotonic") else "Int64"
                columns[name] = pandas.array([getattr(sample, name) for sample in samples], dtype=kind)
        frame = pandas.DataFrame(columns, index=index)
        frame.attrs["events"] = self.events()
        return frame

    def plot(self, target: Any = None, *, title: str | None = None, format: str | None = None) -> Any:
        """Draws the levels over time with matplotlib: each one's gap to the one below as an area, RSS as a line.

        target is a path or a binary file, where the picture goes (in the format that the name or `format` says), or
        axes to draw in; without one, they are made. Levels that are unknown are left out, and the area above has both
        names. Events are vertical lines. Returns the axes; their `figure` has the rest. ImportError without matplotlib.
        """
        from . import _plot

        return _plot.plot(self, target, title, format)

    def __len__(self) -> int:
        """How many samples are kept."""
        return min(self._taken, self._length)

    def __iter__(self) -> Iterator[Sample]:
        """Over samples()."""
        return iter(self.samples())

    def __bool__(self) -> bool:
        """A monitor without samples is one all the same."""
        return True

    def __enter__(self) -> Monitor:
        """As start()."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As stop(), whatever was raised."""
        self.stop()

    def __repr__(self) -> str:
        """In a line."""
        whose = "this process" if self._pid is None else f"process {self._pid}"
        state = "running" if self._running else "stopped"
        return f"<zmalloc.Monitor of {whose}: {state}, {len(self)} of {self._length} samples>"

    def _repr_html_(self) -> str:
        """For notebooks: a table, and the picture where matplotlib is."""
        from . import _html

        return _html.monitor_page(self)

    def _take(self) -> tuple[float, ...]:
        """Takes a sample, as it is kept."""
        figures = self._source.read(self._walk)
        known = [none if figure is None else figure for figure, none in zip(figures, _UNKNOWN)]
        with self._lock:
            record = (time.monotonic(), time.time(), *known)
            _RECORD.pack_into(self._records, self._taken % self._length * _RECORD.size, *record)
            self._taken += 1
        return record

    def _halt(self) -> bool:
        """Ends the thread; whether the monitor ran."""
        with self._lock:
            ran, self._running = self._running, False
            thread, self._thread = self._thread, None
            _release(self._wake)
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        return ran

    def _try_sample(self) -> bool:
        """Takes a sample for the monitor itself; whether there can be another."""
        try:
            self._take()
        except ProcessLookupError as error:
            with self._lock:
                self._error, self._running, self._thread = error, False, None
            self.mark("process ended")
            return False
        except Exception as error:
            with self._lock:
                self._error = error
                self._missed += 1
        return True

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._running = False
        self._thread = None
        self._wake = threading.Lock()
        self.mark("fork")


def _decoded(record: tuple[Any, ...]) -> Sample:
    """What was unknown is None again."""
    figures = [None if figure == none or figure != figure else figure for figure, none in zip(record[2:], _UNKNOWN)]
    return Sample._make((*record[:2], *figures))


def _write(text: str, file: File | None) -> None:
    if file is None:
        return
    if isinstance(file, (str, os.PathLike)):
        with open(file, "w", encoding="utf-8", newline="") as opened:
            opened.write(text)
    else:
        file.write(text)
