# SPDX-License-Identifier: BSD-3-Clause
"""What can be known of another process: what the kernel has of it, and what it has published itself."""

from __future__ import annotations

import errno
import time
from collections import namedtuple

from . import _zmalloc
from ._figures import COUNTED, FIGURES, LIMITS, NAMES
from ._named import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class Known(NamedTuple):
        """By the figures' names; what the process has published; why that is no figure, if it is none."""

        figures: dict[str, float | None]
        published: _zmalloc.Published | None
        error: OSError | None

    Silent = dict[int, tuple[float, OSError | None]]

else:
    Known = namedtuple("Known", "figures published error")

# To find no page takes a look at all descriptors of a process, of which there may be very many.
PAUSE = 1.0

# These say that there is nothing to be read, or nobody to ask, and no more.
UNPUBLISHED = (errno.ENOENT, errno.ENOSYS, errno.EACCES)
LEVELS = ("used", "allocated", "active", "resident", "rss")
GAPS = ("allocator_overhead_bytes", "allocator_frag_bytes", "allocator_rss_bytes", "rss_overhead_bytes")


def kernel_figures(call: str, pid: int, walk: bool) -> dict[str, int | None]:
    """By the figures' names: with the walk, all that the kernel knows."""
    if not walk:
        return {"rss": ask(call, _zmalloc.zmalloc_process_rss, pid)}
    sums = ask(call, _zmalloc.zmalloc_smaps, pid)
    figures = {figure.name: sums.get(figure.field) for figure in FIGURES if figure.field is not None}
    if {"Private_Clean", "Private_Dirty"} <= sums.keys():
        figures["uss"] = sums["Private_Clean"] + sums["Private_Dirty"]
    return figures


def process_name(pid: int) -> str | None:
    """What the kernel calls it; None where that can't be told. It may hold any character."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="backslashreplace") as file:
            return file.read().removesuffix("\n")
    except OSError:
        return None


def _gaps(figures: dict[str, float | None]) -> dict[str, float | None]:
    """What each level adds to the nearest known one below it."""
    gaps: dict[str, float | None] = {}
    below = figures["used"] or 0
    for level, gap in zip(LEVELS[1:], GAPS):
        size = figures.get(level)
        gaps[gap] = None if size is None else size - below
        below = below if size is None else size
    rss = figures.get("rss")
    gaps["mem_fragmentation_ratio"] = rss / figures["used"] if rss and figures["used"] else None
    return gaps


def _read_page(call: str, pid: int, silent: Silent) -> tuple[_zmalloc.Published | None, OSError | None]:
    until, known_error = silent.get(pid, (0.0, None))
    if time.monotonic() < until:
        return None, known_error
    try:
        return ask(call, _zmalloc.zmalloc_published, pid), None
    except ProcessLookupError:
        raise
    except OSError as error:
        told = None if error.errno in UNPUBLISHED else error.with_traceback(None)
        if error.errno != errno.ESTALE:  # that page is found again at once
            silent[pid] = time.monotonic() + PAUSE, told
        return None, told


def known(call: str, pid: int, walk: bool, silent: Silent | None = None) -> Known:
    """All that can be known. The kernel's figures are of now, and the others of when the process published them.

    Who asks repeatedly keeps a dict: where there was no page it says how long that is taken for granted, and why.
    """
    figures: dict[str, float | None] = {**kernel_figures(call, pid, walk)}
    published, error = _read_page(call, pid, {} if silent is None else silent)
    if published is None:
        return Known(figures, None, error)
    told = {name: getattr(published, name) for name in NAMES if hasattr(published, name) and name != "rss"}
    told.update({name: None for name in LIMITS if told[name] == float("inf")})
    figures.update(told)
    figures.update(_gaps(figures))
    return Known(figures, published, None)


def report(pid: int, walk: bool) -> _zmalloc.Report:
    """Of another process."""
    figures = known("report", pid, walk).figures
    return _zmalloc.Report(figures.get(name) for name in NAMES if name not in COUNTED)
