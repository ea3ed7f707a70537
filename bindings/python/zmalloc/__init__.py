# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc: an allocator that always knows how many bytes are in use.

Every call of the C library is here under its own name, and zmalloc.h is its manual. A call that returns memory in C
returns a Block here. A pointer is a Block or None. What C writes through pointers is returned. The calls that are
defined below do the same in Python's way.

All sizes are bytes. An unknown figure is None, and no limit is math.inf. A pid is a process number, or None for this
process. Calls that ask about a process raise

- ProcessLookupError if there is no such process, or it has no memory (a zombie, one of the kernel's own), or it ends
  meanwhile;
- PermissionError if it is another user's;
- ValueError for a number that no process has;
- OSError with ENOSYS if the platform can't report the figure, and with other numbers as zmalloc.h says.
"""

from __future__ import annotations

import os as _os
import sys as _sys

from . import _zmalloc
from ._defrag import defrag, defrag_hint
from ._limit import Limit as _Limit
from ._limit import from_bytes as _from_bytes
from ._limit import to_bytes as _to_bytes
from ._named import ask as _ask
from ._published import publish, published
from ._zmalloc import *  # noqa: F403
from ._zmalloc import AllocatorInfo, Block, Decay, Defrag, Mapping, MemoryLimits, Published, Report, UsableBlock

TYPE_CHECKING = False  # typing itself would take longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import overload as _overload

    from ._monitor.monitor import Monitor as Monitor
    from ._monitor.series import Event as Event
    from ._monitor.series import Rates as Rates
    from ._monitor.series import Sample as Sample
    from ._track import Track as Track
    from ._track import track as track
else:

    def _overload(function: Callable) -> Callable:
        """Only a checker needs to know."""
        return function

    def __getattr__(name: str) -> object:
        """Loads scopes, monitors and their types when they are first used."""
        if name in _OF_SCOPES:
            from . import _track as module
        elif name in _OF_MONITORS:
            from ._monitor import monitor as module
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals().update({each: getattr(module, each) for each in _OF_SCOPES + _OF_MONITORS if hasattr(module, each)})
        return globals()[name]

    def __dir__() -> list[str]:
        """The calls and types, and no name that only this file needs."""
        return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


_OF_SCOPES = ("Track", "track")
_OF_MONITORS = ("Event", "Monitor", "Rates", "Sample")
_OF_PYTHON = (
    "ZMALLOC_LIB", "allocator", "allocator_info", "background_thread", "decay", "defrag", "defrag_hint",
    "disable_thp", "good_size", "limit", "mappings", "memory_limit", "memory_limits", "memory_size", "peak_memory",
    "private_dirty", "publish", "published", "purge", "report", "reset_peak_memory", "rss", "set_decay", "set_limit",
    "set_oom_handler", "set_soft_limit", "smaps", "soft_limit", "thp", "used_memory",
)  # fmt: skip
if not TYPE_CHECKING:  # a checker takes what it sees
    _OF_C = (name for name in dir(_zmalloc) if not name.startswith("_"))
    __all__ = sorted({*_OF_PYTHON, *_OF_SCOPES, *_OF_MONITORS, *_OF_C})

if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_zmalloc._forget_locks)

__version__: str = _zmalloc.ZMALLOC_VERSION
ZMALLOC_LIB: str = _zmalloc.zmalloc_allocator()

allocator: str = ZMALLOC_LIB
used_memory = _zmalloc.zmalloc_used_memory
peak_memory = _zmalloc.zmalloc_peak_memory
reset_peak_memory = _zmalloc.zmalloc_reset_peak_memory


def good_size(size: int, /) -> int:
    """The bytes that a block of size bytes may use; 0 if no block can be so large. See zmalloc_good_size.

    >>> zmalloc.good_size(100) >= 100
    True
    """
    return _ask("good_size", _zmalloc.zmalloc_good_size, size)


def _mark(event: str) -> None:
    """Marks the event in the monitors that run. It costs next to nothing where no monitor was ever made."""
    monitors = _sys.modules.get("zmalloc._monitor.monitor")
    if monitors is not None:
        monitors.mark_running(event)


def set_oom_handler(handler: Callable[[int], object] | None, *, retry: bool = False) -> None:
    """Sets a handler, which is called with the size in bytes when there is no memory for a Block. None removes it.

    The handler runs in the thread whose request failed. An exception that it raises leaves the call that failed. If
    it returns, or there is no handler, that call raises MemoryError. A request of the handler itself that fails
    raises MemoryError at once. With retry=True a true result says that the handler has freed something: the request
    is tried again, at most ZMALLOC_MOST_RETRIES times. The handler can't use the Block that is being resized:
    that raises BufferError.

    >>> zmalloc.set_oom_handler(lambda size: print("no", size, "bytes"))
    >>> try:
    ...     zmalloc.Block(2**62)
    ... except MemoryError as error:
    ...     print(error)
    no 4611686018427387904 bytes
    Block: can't allocate a size of 4611686018427387904 bytes
    >>> zmalloc.set_oom_handler(None)
    """
    if retry:
        _ask("set_oom_handler", _zmalloc.zmalloc_set_oom_retry_handler, handler)
    else:
        _ask("set_oom_handler", _zmalloc.zmalloc_set_oom_handler, handler)


def set_limit(bytes: float | None) -> None:
    """Sets the most bytes that may be in use, by used_memory(); None, math.inf or 0 is no limit.

    A request that would pass the limit calls the handler of set_oom_handler, then raises MemoryError. Blocks in use
    stay. Freeing and shrinking always work. The limit is for Blocks: the interpreter's own memory is not counted.

    >>> zmalloc.set_limit(zmalloc.used_memory() + 1_000_000)
    >>> zmalloc.ztrymalloc(2_000_000) is None
    True
    >>> zmalloc.set_limit(None)
    """
    _ask("set_limit", _zmalloc.zmalloc_set_limit, _to_bytes(bytes, "set_limit"))


@_overload
def limit() -> float: ...
@_overload
def limit(bytes: float | None, /) -> _Limit: ...
def limit(*bytes: float | None) -> float | _Limit:
    """The limit that is set, in bytes; math.inf if none is. With an argument, a scope in which that limit is set.

    At its end the scope sets the limit that was set when it began. The limit is for all threads.

    >>> with zmalloc.limit(zmalloc.used_memory() + 1_000_000):
    ...     block = zmalloc.ztrymalloc(2_000_000)
    >>> print(block, zmalloc.limit())
    None inf
    """
    if not bytes:
        return _from_bytes(_zmalloc.zmalloc_limit())
    return _Limit(*bytes)


def set_soft_limit(
    bytes: float | None, handler: Callable[[int], object] | None = None, hysteresis: int | None = None
) -> None:
    """Sets a soft limit: when the bytes in use pass it, handler is called with the bytes in use. None is no limit.

    The handler is called once, in the thread that passed the limit, at the end of the call that did so. If it raises,
    the exception leaves that call, and the new Block is freed. The handler is called again only after the bytes in
    use were seen below bytes - hysteresis, which is a tenth of bytes by default. It is never called inside itself.
    While it runs, another thread that passes the limit again calls it too. Monitors that run record an event "soft
    limit passed".

    >>> kept = [zmalloc.Block(100_000) for _ in range(10)]
    >>> zmalloc.set_soft_limit(zmalloc.used_memory() + 150_000, lambda used: kept.clear())
    >>> more = [zmalloc.Block(100_000) for _ in range(2)]
    >>> len(kept)
    0
    >>> zmalloc.set_soft_limit(None)
    """
    soft = _to_bytes(bytes, "set_soft_limit")
    if soft == 0:
        _zmalloc.zmalloc_set_soft_limit(0, 0, None)
        return

    def passed(used: int) -> None:
        _mark("soft limit passed")
        if handler is not None:
            handler(used)

    if handler is not None and not callable(handler):
        raise TypeError(f"set_soft_limit: argument 'handler' must be callable or None, not {type(handler).__name__}")
    if hysteresis is None:
        hysteresis = soft // 10
    _ask("set_soft_limit", _zmalloc.zmalloc_set_soft_limit, soft, hysteresis, passed)


def soft_limit() -> float:
    """The soft limit that is set, in bytes; math.inf if none is.

    >>> zmalloc.soft_limit()
    inf
    """
    return _from_bytes(_zmalloc.zmalloc_soft_limit())


def rss(pid: int | None = None) -> int:
    """Resident set size of the process, in bytes: what it holds of the machine's memory. Linux: from its statm.

    Linux counts pages of hugetlbfs in no rss, pss or uss, but in the fields Private_Hugetlb and Shared_Hugetlb alone.
    On Linux it can be read of other users' processes too. Errors: ProcessLookupError, ValueError, OSError.

    >>> zmalloc.rss() > zmalloc.used_memory()
    True
    """
    return _ask("rss", _zmalloc.zmalloc_process_rss, pid)


def private_dirty(pid: int | None = None) -> int:
    """Bytes that the process has written to and does not share: smaps("Private_Dirty", pid), with its errors.

    >>> zmalloc.private_dirty() > 0
    True
    """
    return _ask("private_dirty", _zmalloc.zmalloc_private_dirty, pid)


@_overload
def smaps(field: str, pid: int | None = None) -> int: ...
@_overload
def smaps(field: None = None, pid: int | None = None) -> dict[str, int]: ...
def smaps(field: str | None = None, pid: int | None = None) -> int | dict[str, int]:
    """Sum of a field over the mappings of a process, in bytes; without a field, a dict of all that the kernel sums.

    Linux: from smaps_rollup, or else smaps. A name must match whole: "Rss", "Pss", "Private_Dirty". Errors:
    FileNotFoundError for a field that this kernel doesn't have; ProcessLookupError, PermissionError, ValueError,
    OSError.

    >>> sums = zmalloc.smaps()
    >>> 0 < sums["Pss"] <= sums["Rss"]
    True
    >>> zmalloc.smaps("Private_Dirty") > 0
    True
    """
    if field is None:
        return _ask("smaps", _zmalloc.zmalloc_smaps, pid)
    return _ask("smaps", _zmalloc.zmalloc_smap_bytes_by_field, field, pid)


def mappings(pid: int | None = None) -> list[Mapping]:
    """The mappings of a process, in the order of their addresses, each with its fields of smaps in a dict, in bytes.

    A path is decoded by os.fsdecode. Errors: ProcessLookupError, PermissionError, ValueError, OSError. After an error
    no mapping is returned.

    >>> largest = max(zmalloc.mappings(), key=lambda mapping: mapping.fields["Rss"])
    >>> largest.end - largest.begin >= largest.fields["Rss"] > 0
    True
    """
    return _ask("mappings", _zmalloc.zmalloc_mappings, pid)


def report(pid: int | None = None, *, walk: bool = False) -> Report:
    """Where a process's memory is, in bytes. An unknown figure is None.

    used and the differences that are not None (allocator_overhead_bytes to rss_overhead_bytes) add up to rss. With
    walk=True the kernel walks the page tables. That takes longer, and adds pss, uss, private_dirty, swap,
    huge_pages, private_hugetlb and shared_hugetlb. Linux counts pages of hugetlbfs only in the last two: they are not
    in rss, pss or uss. help(zmalloc.Report) has each figure's source. Of another process (pid) the kernel's figures
    are known: rss, and those of the walk; the others if it publishes them (see published). Errors for another
    process: those of rss and smaps.

    >>> report = zmalloc.report()
    >>> report.used == zmalloc.used_memory() < report.rss
    True
    """
    if isinstance(pid, bool):
        raise TypeError("report: argument 'pid' must be an int or None, not bool; the walk is walk=True")
    if pid is None or (type(pid) is int and pid in (-1, _os.getpid())):
        return _ask("report", _zmalloc.zmalloc_report, walk)
    from . import _kernel

    return _kernel.report(pid, walk)


def memory_size() -> int:
    """Physical memory of this machine, in bytes. OSError where that is unknown.

    >>> zmalloc.memory_size() > zmalloc.rss()
    True
    """
    return _ask("memory_size", _zmalloc.zmalloc_memory_size)


def memory_limits() -> MemoryLimits:
    """The limits on memory one by one, in bytes; math.inf if none is set, None if the limit is unknown.

    >>> zmalloc.memory_limits().physical == zmalloc.memory_size()
    True
    """
    return _ask("memory_limits", _zmalloc.zmalloc_memory_limits)


def memory_limit() -> int:
    """The least of those limits, in bytes. The process can't have more memory than this.

    OSError if the limit of the process's control group can't be read: it may be the least of all.

    >>> zmalloc.memory_limit() == min(limit for limit in zmalloc.memory_limits() if limit is not None)
    True
    """
    return _ask("memory_limit", _zmalloc.zmalloc_memory_limit)


def allocator_info() -> AllocatorInfo:
    """What the allocator reports of itself, in bytes; an unknown figure is None. Sources: see zmalloc_allocator_info.

    >>> info = zmalloc.allocator_info()
    >>> info.allocated is None or info.allocated >= zmalloc.used_memory()
    True
    """
    return _ask("allocator_info", _zmalloc.zmalloc_allocator_info)


def purge() -> int | None:
    """Makes the allocator give back what no block needs. Returns by how many bytes RSS fell, None if unknown.

    Monitors that run record an event "purge".

    >>> returned = zmalloc.purge()
    >>> returned is None or returned >= 0
    True
    """
    _mark("purge")
    return _ask("purge", _zmalloc.zmalloc_purge)


def decay() -> Decay:
    """After how many milliseconds without use the allocator gives pages back. OSError if it is not jemalloc.

    >>> zmalloc.decay().dirty_ms >= -1
    True
    """
    return _ask("decay", _zmalloc.zmalloc_decay)


def thp() -> str:
    """When the kernel makes this process's pages huge: "never", "madvise" (where madvise asks for it) or "always".

    >>> zmalloc.thp() in ("never", "madvise", "always")
    True
    """
    return ("never", "madvise", "always")[_ask("thp", _zmalloc.zmalloc_thp)]


def disable_thp(disable: bool = True) -> None:
    """Forbids huge pages in this process and its later children, or allows them again.

    >>> zmalloc.disable_thp()
    >>> zmalloc.thp()
    'never'
    >>> zmalloc.disable_thp(False)
    """
    _ask("disable_thp", _zmalloc.zmalloc_disable_thp, disable)


def set_decay(dirty_ms: int, muzzy_ms: int) -> None:
    """Sets after how many milliseconds without use the allocator gives pages back; -1 is never. Errors as in decay.

    >>> zmalloc.set_decay(5000, 0)
    >>> zmalloc.decay().dirty_ms
    5000
    """
    _ask("set_decay", _zmalloc.zmalloc_set_decay, dirty_ms, muzzy_ms)


def background_thread(on: bool | None = None) -> bool | None:
    """Starts or ends the allocator's background thread. Without an argument, returns whether it is wanted.

    OSError if the allocator is not jemalloc.

    >>> zmalloc.background_thread(True)
    >>> zmalloc.background_thread()
    True
    >>> zmalloc.background_thread(False)
    """
    if on is None:
        return _ask("background_thread", _zmalloc.zmalloc_background_thread_enabled)
    _ask("background_thread", _zmalloc.zmalloc_background_thread, on)
    return None
