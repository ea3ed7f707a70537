# SPDX-License-Identifier: BSD-3-Clause
"""Where the figures of a sample come from: this process, or another one."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from .. import _zmalloc
from .._figures import NAMES
from .._kernel import known
from .._named import ask
from .series import Series, packed

if TYPE_CHECKING:
    from .._kernel import Silent


class Other:
    """Another process, of which the kernel tells, and it itself. Where it can be held, its number can't pass to a
    third unseen.
    """

    def __init__(self, pid: int, walk: bool) -> None:
        self._pid = pid
        self._walk = walk
        self.published: _zmalloc.Published | None = None  # as of the last sample
        self.error: OSError | None = None  # why that is none
        self._silent: Silent = {}
        self.descriptor = -1
        ask("Monitor", _zmalloc.zmalloc_process_rss, pid)
        with suppress(OSError, AttributeError):  # old kernels, other systems, a thread's number
            self.descriptor = os.pidfd_open(pid)

    _close = staticmethod(os.close)  # at the interpreter's end the module has no names any more

    def __del__(self) -> None:
        if self.descriptor >= 0:
            try:
                self._close(self.descriptor)
            except OSError:  # in a daemon
                pass

    def __call__(self, records: bytearray) -> bytes:
        """Takes a sample, and keeps it."""
        figures, published, error = known("Monitor", self._pid, self._walk, self._silent)
        if self._has_ended():
            raise ProcessLookupError(f"Monitor: process {self._pid} has ended")
        self.published, self.error = published, error
        return _zmalloc._take_packed(packed(figures.get(name) for name in NAMES), records)

    def _has_ended(self) -> bool:
        """False if that can't be told, as in a process that has closed all its descriptors to become a daemon."""
        if self.descriptor < 0:
            return False
        asked = select.poll()  # one of its own: a second thread can't ask by the same
        asked.register(self.descriptor, select.POLLIN)
        return any(events & select.POLLIN for _, events in asked.poll(0))


def series(length: int, walk: bool, pid: int | None) -> Series:
    """A series of a process: None, -1 (as in C) and its own number are this one.

    Of this one C does all in one call: ten times a second, nothing is in the caches.
    """
    if pid is None or pid in (-1, os.getpid()):
        return Series(length, None, partial(_zmalloc._take_own, walk), (-1, walk, -1))
    other = Other(pid, walk)
    return Series(length, pid, other, (0 if walk else pid, walk, other.descriptor))
