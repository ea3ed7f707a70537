# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc: an allocator that always knows how many bytes are in use.

Every call of the C library is here under its own name, and zmalloc.h is its manual. What returns memory in C
returns a Block, what takes a pointer takes a Block or None, and what C writes through pointers is returned.
The few calls defined below say the same in Python's way.
"""

from __future__ import annotations

import re
from pathlib import Path

from . import _zmalloc
from ._track import Track
from ._zmalloc import *  # noqa: F403
from ._zmalloc import AllocatorInfo, Block, UsableBlock

__version__: str = _zmalloc.ZMALLOC_VERSION
ZMALLOC_LIB: str = _zmalloc.zmalloc_allocator()

allocator: str = ZMALLOC_LIB
used_memory = _zmalloc.zmalloc_used_memory
peak_memory = _zmalloc.zmalloc_peak_memory
reset_peak_memory = _zmalloc.zmalloc_reset_peak_memory
good_size = _zmalloc.zmalloc_good_size
track = Track
rss = _zmalloc.zmalloc_rss
memory_size = _zmalloc.zmalloc_memory_size
purge = _zmalloc.zmalloc_purge
background_thread = _zmalloc.zmalloc_background_thread
set_oom_handler = _zmalloc.zmalloc_set_oom_handler


def private_dirty(pid: int | None = None) -> int:
    """Bytes that the process has written to and shares with none."""
    return _zmalloc.zmalloc_private_dirty(pid)


def smaps(field: str | None = None, pid: int | None = None) -> int | dict[str, int]:
    """Sum of a field over the mappings of a process, in bytes; without a field, a dict of all that the kernel sums."""
    if field is not None:
        return _zmalloc.zmalloc_smap_bytes_by_field(field, pid)
    _zmalloc.zmalloc_smap_bytes_by_field("Rss", pid)  # refuses what is no process
    folder = "self" if pid in (None, -1) else str(int(pid))
    rollup = Path("/proc", folder, "smaps_rollup").read_text()
    names = re.findall(r"^(\w+): +\d+ kB$", rollup, re.MULTILINE)
    return {name: _zmalloc.zmalloc_smap_bytes_by_field(name, pid) for name in names}


def allocator_info() -> AllocatorInfo:
    """What the allocator says of itself, in bytes; what it can't tell is None."""
    unknown = _zmalloc.ZMALLOC_UNKNOWN
    return AllocatorInfo(None if figure == unknown else figure for figure in _zmalloc.zmalloc_allocator_info())
