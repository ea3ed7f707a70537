# SPDX-License-Identifier: BSD-3-Clause
"""Scopes that count the bytes allocated and freed in them."""

from __future__ import annotations

import sys
import threading

from . import _zmalloc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class _ThisThread(threading.local):
    """A mark for each thread. Its ident would not do: it goes to another thread when this one has ended."""

    def __init__(self) -> None:
        self.mark = object()


_this_thread = _ThisThread()


class Track:
    """The bytes that this thread allocates and frees within a `with` block, to the byte.

    With all_threads=True, the bytes of all threads of the process. Every Block counts by its zmalloc_size. A resize
    counts as one block freed and one allocated. Other memory of the interpreter is not counted. The numbers can be
    read inside the `with` block, and are fixed when it ends. Until then only the scope's own thread can read them.

    >>> with zmalloc.track() as t:
    ...     block = zmalloc.Block(1000)
    >>> t.kept == zmalloc.zmalloc_size(block)
    True
    """

    __slots__ = ("_all_threads", "_end", "_mark", "_start")

    def __init__(self, *, all_threads: bool = False) -> None:
        if not isinstance(all_threads, bool):
            raise TypeError(f"track: argument 'all_threads' must be a bool, not {type(all_threads).__name__}")
        self._all_threads = all_threads
        self._mark: object = None
        self._start: tuple[int, int] | None = None
        self._end: tuple[int, int] | None = None

    def __enter__(self) -> Track:
        if self._start is not None:
            raise RuntimeError("track: the scope has begun already: make a new one")
        self._mark = _this_thread.mark
        self._start = self._readings()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end = self._sums()

    @property
    def allocated(self) -> int:
        """The bytes allocated in the scope."""
        return self._sums()[0]

    @property
    def freed(self) -> int:
        """The bytes freed in the scope; they may have been allocated before it, or by other threads."""
        return self._sums()[1]

    @property
    def kept(self) -> int:
        """The bytes allocated and not freed; below 0 if more were freed than allocated."""
        allocated, freed = self._sums()
        return allocated - freed

    def _readings(self) -> tuple[int, int]:
        if self._all_threads:
            return _zmalloc.zmalloc_total_allocated(), _zmalloc.zmalloc_total_freed()
        if self._mark is not _this_thread.mark:
            raise RuntimeError("track: the scope is another thread's, which alone can read and end it")
        return _zmalloc.zmalloc_thread_allocated(), _zmalloc.zmalloc_thread_freed()

    def _sums(self) -> tuple[int, int]:
        if self._end is not None:
            return self._end
        if self._start is None:
            raise RuntimeError("track: the scope has not begun")
        allocated, freed = self._readings()
        span = 2 * (sys.maxsize + 1)  # where the totals wrap
        return (allocated - self._start[0]) % span, (freed - self._start[1]) % span


track = Track
