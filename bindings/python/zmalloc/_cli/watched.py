# SPDX-License-Identifier: BSD-3-Clause
"""A process that a command asks about, for as long as the command runs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import zmalloc

from .._figures import OF_ANY_PROCESS
from .._monitor.sources import process_name
from .failure import OK, PARTIAL, Failure, ask, complain, reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._monitor.monitor import Monitor
    from .._monitor.series import Sample


class Watched:
    """A process, its figures over time, and how far they could be had."""

    def __init__(self, pid: int | None, length: int = 1) -> None:
        self.pid = os.getpid() if pid is None else pid
        self.is_own = self.pid == os.getpid()
        self.status = OK
        self.ended = False
        self.monitor, self.first = ask(self.pid, lambda: self._begin(length))
        self.name = process_name(self.pid)

    def _begin(self, length: int) -> tuple[Monitor, Sample]:
        from .._monitor.monitor import Monitor

        try:
            monitor = Monitor(None, length, walk=True, pid=self.pid)
            sample = monitor.sample()
            if self.is_own and sample.rss is None:
                zmalloc.smaps()  # tells why
        except OSError as error:
            if isinstance(error, ProcessLookupError):
                raise
            monitor = Monitor(None, length, pid=self.pid)
            sample = monitor.sample()
            missing = ", ".join(name for name in OF_ANY_PROCESS if getattr(sample, name) is None)
            complain(f"process {self.pid}: {missing} unknown: {reason(error)}")
            self.status = PARTIAL
        return monitor, sample

    @property
    def title(self) -> str:
        """Its number and its name, as it is: not yet safe for a terminal."""
        return f"process {self.pid}{f' ({self.name})' if self.name else ''}"

    def figures(self, sample: Sample) -> dict[str, Any]:
        """As JSON has them."""
        allocator = zmalloc.allocator if self.is_own else None
        return {"pid": self.pid, "name": self.name, "allocator": allocator, **sample._asdict()}

    def samples(self, interval: float, count: int | None) -> Iterator[Sample]:
        """The first and then as many as are wanted, or as there are until the process ends."""
        due = time.monotonic()
        number = 1
        yield self.first
        while number != count:
            due = max(due + interval, time.monotonic())
            time.sleep(max(due - time.monotonic(), 0))
            sample = self.next()
            if sample is None:
                self.monitor.mark("process ended")
                self.status = self.status if count is None else PARTIAL
                return
            yield sample
            number += 1

    def next(self) -> Sample | None:
        """Another sample; none if the process has ended."""
        try:
            return self.monitor.sample()
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
