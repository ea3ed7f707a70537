# SPDX-License-Identifier: BSD-3-Clause
"""A Monitor: reports over time, as many as there is room for."""

from __future__ import annotations

import atexit
import json
import math
import os
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .. import _zmalloc
from . import html, plot
from .series import Event, Rates, Sample, write
from .sources import Other, series

if TYPE_CHECKING:
    from .series import File

__all__ = ["Event", "Monitor", "Rates", "Sample"]


# All monitors, by their identity. No lock: a signal handler or a finaliser may make another one at any moment.
_monitors: weakref.WeakValueDictionary[int, Monitor] = weakref.WeakValueDictionary()


def _living() -> list[Monitor]:
    return [monitor for monitor in (each() for each in _monitors.valuerefs()) if monitor is not None]


def mark_running(event: str) -> None:
    """Marks the event in every Monitor that runs."""
    for monitor in _living():
        if monitor.running:
            monitor.mark(event)


def _after_fork() -> None:
    """In the child no thread of a monitor is left, and who held a lock may be gone."""
    for monitor in _living():
        monitor._after_fork()


def _at_exit() -> None:
    for monitor in _living():
        monitor._halt()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)


def _sample_again(reference: weakref.ref[Monitor]) -> bool:
    """Takes the sample that the thread could not take; whether there can be another."""
    monitor = reference()
    return monitor is not None and monitor._try_sample()


NOW = "now"  # the one key of Monitor._runs


class _Run:
    """From start() to stop(): the thread, if there is an interval, and the alarm that ends it.

    The thread does not keep the monitor alive. It takes samples in C, and leaves to Python what is out of the
    ordinary.
    """

    def __init__(self, monitor: Monitor, interval: float | None) -> None:
        self._thread: threading.Thread | None = None
        self._alarm = alarm = _zmalloc._make_alarm()
        if interval is not None:
            reference = weakref.ref(monitor, lambda _: _zmalloc._ring_alarm(alarm))
            source = (float(interval), *monitor._series.source)
            arguments = (alarm, source, partial(_sample_again, reference))
            name = "zmalloc-monitor"
            self._thread = threading.Thread(target=_zmalloc._sample_on_time, args=arguments, name=name, daemon=True)

    def start(self) -> None:
        if self._thread is not None:
            self._thread.start()

    def end(self) -> None:
        """Ends the thread, and waits until it has ended; where it has not yet started, it will not do anything."""
        _zmalloc._ring_alarm(self._alarm)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread() and thread.is_alive():
            thread.join()


class Monitor:
    """Samples of where the memory is, over time: this process's report, or the kernel's figures of another (pid).

    From start() to stop(), or in a `with` block, a thread takes a sample every interval, in seconds, and one at the
    start and one at the end. With interval None there is no thread, and the caller calls sample(). The last `length`
    samples are kept, in memory that is allocated at the start: `nbytes`. walk is report()'s. Of another process only
    rss is known, and with the walk the figures of smaps, from pss to shared_hugetlb; and all others if it publishes
    them: `published` has since when they are. That it begins to publish is noticed within a second or an interval.

    All methods may be called from any thread. `missed` counts samples that could not be taken, and `error` says why.
    When the watched process ends, the monitor stops with an event "process ended". A monitor ends when nothing refers
    to it any more, and before the interpreter ends. In a forked child a monitor is stopped. It keeps its samples,
    with an event "fork", and can be started again; one of this process then watches the child. All monitors that run
    record an event "purge" for zmalloc.purge(), and "soft limit passed" when the limit of set_soft_limit() is passed.

    A sample takes about as long as report(). With libc it takes longer the more free blocks there are (several
    milliseconds for 30,000), and with the walk the more memory there is.

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
        self._walk = bool(walk)
        self._series = series(length, self._walk, pid)
        self._missed = 0
        self._error: Exception | None = None
        self._lock = threading.RLock()  # signal handlers may come in between
        self._runs: dict[str, _Run] = {}  # one if it runs: to put it there, or take it away, is a single step
        _monitors[id(self)] = self

    @property
    def interval(self) -> float | None:
        """Seconds from one sample to the next; None if the caller takes them."""
        return self._interval

    @property
    def length(self) -> int:
        """How many samples are kept at most."""
        return self._series.length

    @property
    def pid(self) -> int | None:
        """The process watched; None for this one."""
        return self._series.pid

    @property
    def published(self) -> _zmalloc.Published | None:
        """What the other process had published when the last sample was taken: since when the figures are.

        None if it had published nothing, or no figures (see unpublished); and for this process.
        """
        samples = self._series.samples()
        other = self._series.keep
        return other.published if isinstance(other, Other) and samples and samples[-1].used is not None else None

    @property
    def unpublished(self) -> OSError | None:
        """Why what the other process had published was no figure: the page was stale, torn, forged or another's."""
        other = self._series.keep
        return other.error if isinstance(other, Other) else None

    @property
    def walk(self) -> bool:
        """Whether the kernel is asked to walk the page tables for each sample."""
        return self._walk

    @property
    def running(self) -> bool:
        """Whether it was started, and has not stopped since."""
        return bool(self._runs)

    @property
    def taken(self) -> int:
        """How many samples were taken so far, those included that are no longer kept."""
        return self._series.taken

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
        """Bytes that the samples take, from the start. The last 1,024 events are not counted here."""
        return self._series.nbytes

    def start(self) -> None:
        """Takes a sample and starts the thread; does nothing if the monitor runs. Errors as of sample()."""
        with self._lock:
            if self.running:
                return
            self.sample()
            run = _Run(self, self._interval)
            if self._runs.setdefault(NOW, run) is not run:
                return  # a signal handler has started it meanwhile
            try:
                run.start()
            except BaseException:
                self._runs.pop(NOW, None)
                run.end()
                raise
            if self._runs.get(NOW) is not run:
                run.end()  # a signal handler has stopped it before the thread had begun, and could not wait for it

    def stop(self) -> None:
        """Ends the thread and takes a last sample if possible; does nothing if the monitor does not run."""
        if self._halt():
            self._try_sample()

    def sample(self) -> Sample:
        """Takes a sample now and returns it. Of another process, errors as of rss, with the walk as of smaps."""
        return self._series.sample()

    def mark(self, name: str) -> None:
        """Records an event with the time and that name, cut at 100 characters. The last 1,024 events are kept."""
        if not isinstance(name, str):
            raise TypeError(f"mark: argument 'name' must be a str, not {type(name).__name__}")
        self._series.mark(name)

    def samples(self) -> list[Sample]:
        """The samples that are kept, oldest first."""
        return self._series.samples()

    def events(self) -> list[Event]:
        """The events that are kept, oldest first."""
        return self._series.events()

    def rates(self) -> Rates | None:
        """Bytes allocated and freed a second, from the first sample kept to the last.

        None before there are two samples with some time between them, and for another process. For any two samples,
        divide the difference of their total_allocated, or total_freed, by the difference of their times.
        """
        return self._series.rates()

    def to_dict(self) -> dict[str, Any]:
        """All that is known, as to_json() has it."""
        others = getattr(self.published, "allocator", None)
        return {
            "zmalloc": _zmalloc.ZMALLOC_VERSION,
            "allocator": _zmalloc.zmalloc_allocator() if self.pid is None else others,
            "pid": os.getpid() if self.pid is None else self.pid,
            "interval": self._interval,
            "walk": self._walk,
            "taken": self.taken,
            "missed": self._missed,
            "error": None if self._error is None else str(self._error),
            "samples": [sample._asdict() for sample in self.samples()],
            "events": [event._asdict() for event in self.events()],
        }

    def to_json(self, file: File | None = None) -> str:
        """Returns the samples and events as JSON. If file is a path or an open text file, also writes them there.

        The JSON is an object with lists of samples and events. Each is an object with the names of Sample or Event.
        An unknown figure is null.
        """
        text = json.dumps(self.to_dict(), allow_nan=False)
        write(text + "\n", file)
        return text

    def to_csv(self, file: File | None = None) -> str:
        """Returns the samples as CSV: a line of names, then a line for each sample. file is as in to_json.

        An unknown figure is empty. The last column, event, has the names of the events since the sample before, with
        "; " between them. In the last line it also has those after the last sample.
        """
        text = self._series.to_csv()
        write(text, file)
        return text

    def to_pandas(self) -> Any:
        """The samples as a pandas.DataFrame: a row each. The wall clock (UTC) is the index, the figures are columns.

        Bytes have pandas' type Int64 or UInt64, and NA if unknown. Ratios are float64, and NaN if unknown. The events
        are in `attrs["events"]`. ImportError without pandas.
        """
        return self._series.to_pandas()

    def plot(self, target: Any = None, *, title: str | None = None, format: str | None = None) -> Any:
        """Draws the levels over time with matplotlib: each level's gap to the one below as an area, RSS as a line.

        target is a path or a binary file for the picture, in the format that its name or `format` says; or axes to
        draw in. Without a target, new axes are made. An unknown level is left out, and the area above it has both
        names. Events are vertical lines, and limits that were set are horizontal ones. Returns the axes, whose
        `figure` has the rest. ImportError without matplotlib.
        """
        return plot.plot(self._series, target, title, format)

    def __len__(self) -> int:
        """How many samples are kept."""
        return min(self.taken, self.length)

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
        state = "running" if self.running else "stopped"
        return f"<zmalloc.Monitor of {self._series.whose}: {state}, {len(self)} of {self.length} samples>"

    def _repr_html_(self) -> str:
        """For notebooks: a table, and the picture where matplotlib is."""
        return html.monitor_page(self._series)

    def _halt(self) -> bool:
        """Ends the thread; whether the monitor ran."""
        with self._lock:
            run = self._runs.pop(NOW, None)
        if run is None:
            return False
        run.end()
        return True

    def _try_sample(self) -> bool:
        """Takes a sample for the monitor itself; whether there can be another."""
        try:
            self._series.take()
        except ProcessLookupError as error:
            with self._lock:
                is_news = not isinstance(self._error, ProcessLookupError)
                self._error = error
                self._runs.clear()
            if is_news:
                self.mark("process ended")
            return False
        except Exception as error:
            with self._lock:
                self._error = error
                self._missed += 1
        return True

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._runs.clear()
        self._series.after_fork()
        self.mark("fork")
