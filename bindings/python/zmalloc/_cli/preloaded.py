# SPDX-License-Identifier: BSD-3-Clause
"""The libraries for LD_PRELOAD, and the pages that processes under one of them leave in a folder.

src/preload/run.h has the layout of a page.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import NamedTuple

from .._places import PRELOAD_FOLDERS
from .failure import USAGE, Failure
from .parser import ALLOCATORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NOT_OURS = ("malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign")

_MAGIC, _VERSION = 0x4E55524D5A, 1
_UNKNOWN = 2**64 - 1
_NUMBERS = (
    "pid", "parent", "started_ns", "elsewhere", "sequence", "updated_ns", "ended", "used", "allocated", "active",
    "resident", "rss", "peak_used", "peak_rss", "total_allocated", "total_freed", "failed", "failed_size",
    "soft_passed",
)  # fmt: skip
_PAGE = struct.Struct(f"=32s32s3Q{len(_NUMBERS)}Q")
_SEQUENCE_AT = _PAGE.size - 8 * (len(_NUMBERS) - _NUMBERS.index("sequence"))
LEVELS = ("used", "allocated", "active", "resident", "rss")


class Page(NamedTuple):
    """What a process image has told of itself: it has a page of its own from its start, or from an exec, on."""

    allocator: str
    program: str
    figures: dict[str, int | None]

    @property
    def pid(self) -> int:
        return self.figures["pid"] or 0

    @property
    def started_ns(self) -> int:
        return self.figures["started_ns"] or 0

    @property
    def is_filled(self) -> bool:
        """Whether it was ever refreshed."""
        return bool(self.figures["updated_ns"])

    @property
    def answered_elsewhere(self) -> list[str]:
        """The calls that another library or the program itself answers."""
        bits = self.figures["elsewhere"] or 0
        return [name for i, name in enumerate(NOT_OURS) if bits >> i & 1]


def _text(raw: bytes) -> str:
    return os.fsdecode(raw.split(b"\0")[0])


def read_page(path: str) -> Page | None:
    """A page as it is now; none if it is no such page, or is written all the time."""
    for _ in range(100):
        try:
            with open(path, "rb", buffering=0) as file:
                raw = file.read(_PAGE.size)
                again = os.pread(file.fileno(), 8, _SEQUENCE_AT)
        except OSError:
            return None
        if len(raw) < _PAGE.size:
            return None
        allocator, program, magic, version, size, *numbers = _PAGE.unpack(raw)
        if (magic, version, size) != (_MAGIC, _VERSION, _PAGE.size):
            return None
        known = dict(zip(_NUMBERS, numbers))
        if known["sequence"] % 2 == 0 and struct.pack("=Q", known["sequence"]) == again:
            figures = {name: None if number == _UNKNOWN else number for name, number in known.items()}
            return Page(_text(allocator), _text(program), figures)
    return None


class Gathered:
    """The pages of a folder. Those of ended children go, as there may be many; the largest are kept in mind."""

    MOST = 500

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._ended: list[Page] = []
        self.number = 0  # of those of ended children
        self.bytes = 0  # that these have allocated

    def pages_of(self, pid: int) -> list[Page]:
        """Those of a process, in the order of their starts."""
        return self._read(lambda name: name.startswith(f"{pid}."))

    def all(self) -> list[Page]:
        """Those of all processes, in the order of their starts."""
        return sorted([*self._ended, *self._read(lambda name: True)], key=lambda page: page.started_ns)

    def sort_out(self, but: int) -> None:
        """Takes out what ended processes have left, but for one process."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                page = read_page(entry.path)
                if page is not None and page.pid != but and (page.figures["ended"] or not _is_there(page.pid)):
                    with suppress(OSError):
                        os.unlink(entry.path)
                    self._keep(page)

    def _keep(self, page: Page) -> None:
        self.number += 1
        self.bytes += page.figures["total_allocated"] or 0
        self._ended.append(page)
        if len(self._ended) > 2 * self.MOST:
            self._ended = sorted(self._ended, key=lambda one: -(one.figures["peak_rss"] or 0))[: self.MOST]

    def _read(self, wanted: Callable[[str], bool]) -> list[Page]:
        with os.scandir(self._folder) as entries:
            pages = [read_page(entry.path) for entry in entries if wanted(entry.name)]
        return sorted((page for page in pages if page is not None), key=lambda page: page.started_ns)


def _is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def libraries() -> dict[str, str]:
    """The libraries that were built, by their allocators."""
    for folder in PRELOAD_FOLDERS:
        found = {name: os.path.join(folder, f"libzmalloc-preload-{name}.so") for name in ALLOCATORS}
        there = {name: path for name, path in found.items() if os.path.isfile(path)}
        if there:
            return there
    return {}


def library_for(allocator: str, command: str) -> str:
    """The library's path, or a failure that says what there is."""
    there = libraries()
    if allocator in there:
        return there[allocator]
    if not there:
        raise Failure(USAGE, f"{command}: no library to preload was installed (zmalloc's option preload)")
    raise Failure(USAGE, f"{command}: there is no library for {allocator}; there is {', '.join(there)}")
