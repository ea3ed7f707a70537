# SPDX-License-Identifier: BSD-3-Clause
"""A process that a command asks about, once or for as long as the command runs."""

from __future__ import annotations

import os
import time

import zmalloc

from .._figures import NAMES, OF_ANY_PROCESS
from .._kernel import known, process_name
from .failure import OK, PARTIAL, Failure, ask, complain, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .._monitor.monitor import Monitor


def as_json(published: zmalloc.Published | None) -> dict[str, float | None] | None:
    """When a process read the figures that it has published, in seconds."""
    if published is None:
        return None
    interval = published.interval_ms / 1000 if published.interval_ms else None
    return {"wall": published.wall_ns / 1e9, "age": published.age_us / 1e6, "interval": interval}


def clock(published: zmalloc.Published) -> str:
    """The same for people."""
    return time.strftime("%H:%M:%S", time.localtime(published.wall_ns // 10**9))


class Asked:
    """A process, the figures of one reading, and how far they could be had."""

    def __init__(self, pid: int | None) -> None:
        self.pid = os.getpid() if pid is None else pid
        self.is_own = self.pid == os.getpid()
        self.status = OK
        self.published: zmalloc.Published | None = None
        self._complained = False
        self.first = ask(self.pid, self._begin)
        self.name = process_name(self.pid)

    def _begin(self) -> dict[str, Any]:
        try:
            figures = self._read(walk=True)
            if self.is_own and figures["rss"] is None:
                zmalloc.smaps()  # tells why
        except OSError as error:
            if isinstance(error, ProcessLookupError):
                raise
            figures = self._read(walk=False)
            missing = ", ".join(name for name in OF_ANY_PROCESS if figures[name] is None)
            complain(f"process {self.pid}: {missing} unknown: {reason(error)}")
            self.status = PARTIAL
        return figures

    def _read(self, walk: bool) -> dict[str, Any]:
        """The fields of a Sample. Of another process there is no need for a Monitor, which takes time to import."""
        if self.is_own:
            return zmalloc.Monitor(None, 1, walk).sample()._asdict()
        clocks = {"monotonic": time.monotonic(), "wall": time.time()}
        figures, published, error = known("report", self.pid, walk)
        self._note(published, error)
        return {**clocks, **dict.fromkeys(NAMES), **figures}

    def _note(self, published: zmalloc.Published | None, error: OSError | None) -> None:
        """Since when the figures are; what is no page of figures is told once, and none of it is shown."""
        self.published = published
        if error is not None:
            if not self._complained:
                complain(f"process {self.pid}: {str(error.strerror).partition(': ')[2]}")
            self._complained = True
            self.status = PARTIAL

    @property
    def is_told(self) -> bool:
        """Whether there are more than the kernel's figures."""
        return self.is_own or self.published is not None

    @property
    def allocator(self) -> str | None:
        """The process's, if it is known."""
        return zmalloc.allocator if self.is_own else getattr(self.published, "allocator", None)

    @property
    def title(self) -> str:
        """Its number and its name, as it is: not yet safe for a terminal."""
        return f"process {self.pid}{f' ({self.name})' if self.name else ''}"

    def as_json(self, figures: dict[str, Any]) -> dict[str, Any]:
        """The figures of a reading, and whose they are."""
        since = as_json(self.published)
        return {"pid": self.pid, "name": self.name, "allocator": self.allocator, "published": since, **figures}


class Watched(Asked):
    """A process, and its figures over time."""

    def __init__(self, pid: int | None, length: int = 1) -> None:
        self.ended = False
        self._length = length
        super().__init__(pid)

    def _read(self, walk: bool) -> dict[str, Any]:
        self.monitor: Monitor = zmalloc.Monitor(None, self._length, walk, self.pid)
        return self._sample()

    def _sample(self) -> dict[str, Any]:
        figures = self.monitor.sample()._asdict()
        self._note(self.monitor.published, self.monitor.unpublished)
        return figures

    def readings(self, interval: float, count: int | None) -> Iterator[dict[str, Any]]:
        """The first and then as many as are wanted, or as there are until the process ends."""
        due = time.monotonic()
        number = 1
        yield self.first
        while number != count:
            due = max(due + interval, time.monotonic())
            time.sleep(max(due - time.monotonic(), 0))
            figures = self.next()
            if figures is None:
                self.monitor.mark("process ended")
                self.status = self.status if count is None else PARTIAL
                return
            yield figures
            number += 1

    def next(self) -> dict[str, Any] | None:
        """Another reading; none if the process has ended."""
        try:
            return self._sample()
        except ProcessLookupError:
            self.ended = True
            return None
        except OSError as error:
            raise Failure(PARTIAL, f"process {self.pid}: {reason(error)}") from None

    def end(self) -> int:
        """What there is to say at the end, and the status."""
        if self.ended:
            complain(f"process {self.pid} has ended")
        return self.status
