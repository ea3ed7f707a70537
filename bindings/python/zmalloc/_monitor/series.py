# SPDX-License-Identifier: BSD-3-Clause
"""A series of samples with events between them, in memory that is bounded, and how it is written for others."""

from __future__ import annotations

import csv
import gc
import math
import os
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from io import StringIO
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from .. import _zmalloc
from .._figures import BY_NAME, COUNTED, DIFFERENCES, LIMITS, NAMES, RATIOS
from .._optional import optional

if TYPE_CHECKING:
    File = str | os.PathLike[str] | IO[str]

MOST_EVENTS = 1024
LONGEST_EVENT = 100


class Sample(NamedTuple):
    """What a Monitor saw at one moment: two clocks in seconds, the fields of a Report, what was counted, the limits.

    An unknown figure is None: of another process all figures except rss and those of the walk, unless it publishes
    them. A limit that is not set is None too. All figures are bytes, except the two ratios. help(zmalloc.Report) says
    more of each.
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
    private_hugetlb: int | None
    shared_hugetlb: int | None
    muzzy: int | None
    allocator_frag_smallbins_bytes: int | None
    peak: int | None
    total_allocated: int | None
    total_freed: int | None
    limit: int | None
    soft_limit: int | None


class Event(NamedTuple):
    """Something that happened while a Monitor ran: when, by both clocks in seconds, and what."""

    monotonic: float
    wall: float
    name: str


class Rates(NamedTuple):
    """Bytes allocated, and freed, a second."""

    allocated: float
    freed: float


CLOCKS = {"monotonic": "seconds of the clock that never goes back", "wall": "seconds since 1970 began, UTC"}


def describe(owner: type, texts: dict[str, str]) -> None:
    """Gives the fields of a named tuple their docstrings."""
    for name, text in texts.items():
        getattr(owner, name).__doc__ = text


REPORTED = [name for name in NAMES if name not in COUNTED]
describe(Sample, {name: getattr(_zmalloc.Report, name).__doc__ or "" for name in REPORTED} | CLOCKS)
describe(Sample, {name: BY_NAME[name].sentence for name in COUNTED})
describe(Event, {**CLOCKS, "name": "what happened"})
describe(Rates, {"allocated": "bytes allocated a second", "freed": "bytes freed a second"})

# A sample as it is kept; what is None is a number that no figure can be.
_KINDS = {name: ("q", -(2**63)) for name in DIFFERENCES} | {name: ("d", math.nan) for name in RATIOS}
_UNKNOWN = [_KINDS.get(name, ("Q", 2**64 - 1))[1] for name in NAMES]
_FORMAT = "".join(_KINDS.get(name, ("Q", 0))[0] for name in NAMES)
_FIGURES = struct.Struct("=" + _FORMAT)
_RECORD = struct.Struct("=2d" + _FORMAT)
_COUNT = struct.Struct("=Q")  # how many were taken, before the records


def packed(figures: Iterable[float | None]) -> bytes:
    """In the order of NAMES."""
    return _FIGURES.pack(*(none if figure is None else figure for figure, none in zip(figures, _UNKNOWN)))


def decoded(record: tuple[Any, ...]) -> Sample:
    """What was unknown is None again."""
    figures = [None if figure == none or figure != figure else figure for figure, none in zip(record[2:], _UNKNOWN)]
    return Sample._make((*record[:2], *figures))


def event_maker() -> Callable[[str], Event]:
    """What makes events of now, even when the names of this module are gone.

    At the interpreter's end 3.13t takes those before it finalizes what the program's own module holds.
    """
    make, monotonic, now, longest = Event, time.monotonic, time.time, LONGEST_EVENT
    return lambda name: make(monotonic(), now(), name[:longest])


class Series:
    """The last `length` samples of a process (None: this one) and the last events. All may be called from any thread.

    `keep` takes a sample into the records that it is given, and returns it. Only that writes there, and a monitor's
    thread in C. Both, and C which copies, hold the records meanwhile. So samples are whole and in the order of their
    times. `source` is what that thread is told, with the records behind it: it leaves a pid of 0 to `keep`.
    """

    def __init__(
        self,
        length: int,
        pid: int | None,
        keep: Callable[[bytearray], bytes],
        source: tuple[int, bool, int] = (0, False, -1),
    ) -> None:
        self.length = length
        self.pid = pid
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._event = event_maker()
        self.keep = keep
        self._source = source
        self._keep_in(bytearray(_COUNT.size + _RECORD.size * length))

    def _keep_in(self, records: bytearray) -> None:
        self._records = records
        self.take = partial(self.keep, records)
        self.source = (*self._source, records)

    def after_fork(self) -> None:
        """In the child, where nobody ends a hold that another thread had. The collector finds events without one."""
        self._keep_in(_zmalloc._copy_in_child(self._records))
        events = (each for each in gc.get_referents(self._events) if isinstance(each, Event))
        self._events = deque(sorted(events), maxlen=MOST_EVENTS)

    @property
    def whose(self) -> str:
        """For people."""
        return "this process" if self.pid is None else f"process {self.pid}"

    @property
    def nbytes(self) -> int:
        """What the samples take, from the beginning."""
        return len(self._records)

    @property
    def taken(self) -> int:
        """How many samples there were."""
        return int(_COUNT.unpack(_zmalloc._copy_count(self._records))[0])

    def mark(self, name: str) -> None:
        """An event, now."""
        self._events.append(self._event(name))

    def sample(self) -> Sample:
        """Another one, taken now."""
        return decoded(_RECORD.unpack(self.take()))

    def samples(self) -> list[Sample]:
        """Those that are kept, oldest first."""
        records = _zmalloc._copy_records(self._records)
        taken, first = _COUNT.unpack_from(records)[0], _COUNT.size
        end = first + min(taken, self.length) * _RECORD.size
        oldest = first + taken % self.length * _RECORD.size if taken > self.length else first
        return [decoded(record) for record in _RECORD.iter_unpack(records[oldest:end] + records[first:oldest])]

    def events(self) -> list[Event]:
        """Those that are kept, oldest first."""
        while True:
            with suppress(RuntimeError):  # another thread marked one meanwhile
                return list(self._events)

    def rates(self) -> Rates | None:
        """See Monitor.rates."""
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

    def to_csv(self) -> str:
        """See Monitor.to_csv."""
        samples, events = self.samples(), self.events()
        names: list[list[str]] = [[] for _ in samples]
        for event in events if samples else []:
            place = next((i for i, sample in enumerate(samples) if sample.monotonic >= event.monotonic), -1)
            names[place].append(event.name)
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*Sample._fields, "event"])
        writer.writerows([*sample, "; ".join(those)] for sample, those in zip(samples, names))
        return text.getvalue()

    def to_pandas(self) -> Any:
        """See Monitor.to_pandas."""
        pandas = optional("pandas")
        samples = self.samples()
        index = pandas.to_datetime([sample.wall for sample in samples], unit="s", utc=True).rename("wall")
        columns: dict[str, Any] = {}
        for name in Sample._fields:
            if name != "wall":
                kind = "float64" if name in (*RATIOS, "monotonic") else "UInt64" if name in LIMITS else "Int64"
                columns[name] = pandas.array([getattr(sample, name) for sample in samples], dtype=kind)
        frame = pandas.DataFrame(columns, index=index)
        frame.attrs["events"] = self.events()
        return frame


def write(text: str, file: File | None) -> None:
    """Into a file, if there is one: a path, or one that is open."""
    if file is None:
        return
    if isinstance(file, (str, os.PathLike)):
        with open(file, "w", encoding="utf-8", newline="") as opened:
            opened.write(text)
    else:
        file.write(text)
