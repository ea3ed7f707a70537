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
    from collections.abc import Iterable

NOT_OURS = ("malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign")

_MAGIC, _VERSION = 0x4E55524D5A, 2
_UNKNOWN = 2**64 - 1
_NUMBERS = (
    "pid", "parent", "born", "started_ns", "elsewhere", "sequence", "updated_ns", "ended", "used", "allocated",
    "active", "resident", "rss", "peak_used", "peak_rss", "total_allocated", "total_freed", "user_us", "system_us",
    "minor_faults", "major_faults", "failed", "failed_size", "soft_passed",
)  # fmt: skip
_PAGE = struct.Struct(f"=32s32s3Q{len(_NUMBERS)}Q")
_SEQUENCE_AT = _PAGE.size - 8 * (len(_NUMBERS) - _NUMBERS.index("sequence"))
LEVELS = ("used", "allocated", "active", "resident", "rss")

# How an image ended. By exec the process went on as another one, which has a page too. Who was killed has said
# nothing; nor has an image before one that is not seen.
RUNNING, EXIT, EXIT_AT_ONCE, EXEC, LOST = "running", "exit", "_exit", "exec", "killed or unseen"
_ENDS = {1: EXIT, 2: EXIT_AT_ONCE}


class Page(NamedTuple):
    """What a process image has told of itself: it has a page of its own from its start, or from an exec, on."""

    allocator: str
    program: str
    figures: dict[str, int | None]
    end: str = RUNNING

    @property
    def pid(self) -> int:
        return self.figures["pid"] or 0

    @property
    def process(self) -> tuple[int, int | None]:
        """Which one it is: another one may have its number later."""
        return self.pid, self.figures["born"]

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


def by_process(pages: Iterable[Page]) -> dict[tuple[int, int | None], list[Page]]:
    """The images of each process, in the order of their starts."""
    found: dict[tuple[int, int | None], list[Page]] = {}
    for page in sorted(pages, key=lambda page: page.started_ns):
        found.setdefault(page.process, []).append(page)
    return found


def _told(images: list[Page]) -> list[Page]:
    """The images of a process with how they ended."""
    last = images[-1]
    end = _ENDS.get(last.figures["ended"] or 0) or (RUNNING if _is_there(last) else LOST)
    return [*(page._replace(end=EXEC) for page in images[:-1]), last._replace(end=end)]


def _is_there(page: Page) -> bool:
    """Whether the process still runs, and is not another one that has its number now."""
    try:
        with open(f"/proc/{page.pid}/stat", "rb") as file:
            state, *fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return False
    threads, born = int(fields[16]), int(fields[18])
    has_ended = state in (b"Z", b"X") and threads <= 1  # a first thread may end before the others
    return not has_ended and page.figures["born"] in (born, 0)


class Gathered:
    """The pages of a folder. Those of ended children go, as there may be many; the largest are kept in mind."""

    MOST = 500

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._ended: dict[tuple[int, int | None], list[Page]] = {}
        self.number = 0  # of children that have ended
        self._bytes = 0  # that these have allocated

    def pages_of(self, pid: int) -> list[Page]:
        """Those of a process, in the order of their starts."""
        return sorted((page for _, page in self._read(f"{pid}.")), key=lambda page: page.started_ns)

    def all(self) -> list[Page]:
        """Those of all processes, each with its end, in the order of their starts."""
        kept = [page for images in self._ended.values() for page in images]
        processes = by_process([*kept, *(page for _, page in self._read())])
        pages = [page for images in processes.values() for page in _told(images)]
        return sorted(pages, key=lambda page: page.started_ns)

    def bytes_seen(self) -> int:
        """How many bytes were allocated through the library, in all processes."""
        return self._bytes + sum(page.figures["total_allocated"] or 0 for _, page in self._read())

    def sort_out(self, but: int) -> None:
        """Takes out what ended processes have left, but for one process."""
        found = [(name, page) for name, page in self._read() if page.pid != but]
        ended = {process for process, images in by_process(page for _, page in found).items()
                 if images[-1].figures["ended"] or not _is_there(images[-1])}  # fmt: skip
        for name, page in found:
            if page.process in ended:
                with suppress(OSError):
                    os.unlink(os.path.join(self._folder, name))
                self._keep(page)

    def _keep(self, page: Page) -> None:
        self.number += page.process not in self._ended
        self._bytes += page.figures["total_allocated"] or 0
        self._ended.setdefault(page.process, []).append(page)
        if len(self._ended) > 2 * self.MOST:
            largest = sorted(self._ended.items(), key=lambda each: -max(_peak(page) for page in each[1]))
            self._ended = dict(largest[: self.MOST])

    def _read(self, prefix: str = "") -> list[tuple[str, Page]]:
        """The names of the files, and what is in them."""
        with os.scandir(self._folder) as entries:
            pages = [(entry.name, read_page(entry.path)) for entry in entries if entry.name.startswith(prefix)]
        return [(name, page) for name, page in pages if page is not None]


def _peak(page: Page) -> int:
    return page.figures["peak_rss"] or 0


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
    why = "; those of tcmalloc and mimalloc are built where their development packages are"
    raise Failure(USAGE, f"{command}: there is no library for {allocator}; there is {', '.join(there)}{why}")
