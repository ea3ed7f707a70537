# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc: an allocator that always knows how many bytes are in use.

Every call of the C library is here under its own name, and zmalloc.h is its manual. What returns memory in C
returns a Block, what takes a pointer takes a Block or None, and what C writes through pointers is returned.
The few calls defined below say the same in Python's way.
"""

from __future__ import annotations

from typing import overload

from . import _zmalloc
from ._track import Track
from ._zmalloc import *  # noqa: F403
from ._zmalloc import AllocatorInfo, Block, Decay, Mapping, MemoryLimits, Report, UsableBlock

__version__: str = _zmalloc.ZMALLOC_VERSION
ZMALLOC_LIB: str = _zmalloc.zmalloc_allocator()

allocator: str = ZMALLOC_LIB
used_memory = _zmalloc.zmalloc_used_memory
peak_memory = _zmalloc.zmalloc_peak_memory
reset_peak_memory = _zmalloc.zmalloc_reset_peak_memory
good_size = _zmalloc.zmalloc_good_size
track = Track
memory_size = _zmalloc.zmalloc_memory_size
memory_limit = _zmalloc.zmalloc_memory_limit
memory_limits = _zmalloc.zmalloc_memory_limits
allocator_info = _zmalloc.zmalloc_allocator_info
decay = _zmalloc.zmalloc_decay
purge = _zmalloc.zmalloc_purge
set_oom_handler = _zmalloc.zmalloc_set_oom_handler


def rss(pid: int | None = None) -> int:
    """Resident set size of the process, in bytes."""
    return _zmalloc.zmalloc_process_rss(pid)


def private_dirty(pid: int | None = None) -> int:
    """Bytes that the process has written to and shares with none."""
    return _zmalloc.zmalloc_private_dirty(pid)


@overload
def smaps(field: str, pid: int | None = None) -> int: ...
@overload
def smaps(field: None = None, pid: int | None = None) -> dict[str, int]: ...
def smaps(field: str | None = None, pid: int | None = None) -> int | dict[str, int]:
    """Sum of a field over the mappings of a process, in bytes; without a field, a dict of all that the kernel sums."""
    if field is None:
        return _zmalloc.zmalloc_smaps(pid)
    return _zmalloc.zmalloc_smap_bytes_by_field(field, pid)


def mappings(pid: int | None = None) -> list[Mapping]:
    """The mappings of a process, in the order of their addresses."""
    return _zmalloc.zmalloc_mappings(pid)


def report(walk: bool = False) -> Report:
    """Where this process's memory is. With the walk, of the page tables, it takes longer and tells more."""
    return _zmalloc.zmalloc_report(walk)


def thp() -> str:
    """When the kernel makes this process's pages huge: "never", "madvise" (where that asks for it) or "always"."""
    return ("never", "madvise", "always")[_zmalloc.zmalloc_thp()]


def disable_thp(disable: bool = True) -> None:
    """Forbids huge pages to this process, and to its children from now on, or allows them again."""
    _zmalloc.zmalloc_disable_thp(disable)


def set_decay(dirty_ms: int, muzzy_ms: int) -> None:
    """Sets after how many milliseconds without use the allocator gives pages back; -1 is never."""
    _zmalloc.zmalloc_set_decay(dirty_ms, muzzy_ms)


def background_thread(on: bool | None = None) -> bool | None:
    """Starts or ends the allocator's background thread; without an argument, tells whether it is wanted."""
    if on is None:
        return _zmalloc.zmalloc_background_thread_enabled()
    _zmalloc.zmalloc_background_thread(on)
    return None
