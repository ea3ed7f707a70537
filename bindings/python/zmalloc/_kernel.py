# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel knows of any process."""

from __future__ import annotations

from . import _zmalloc
from ._figures import COUNTED, FIGURES, NAMES
from ._named import ask


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


def report(pid: int, walk: bool) -> _zmalloc.Report:
    """Of another process."""
    figures = kernel_figures("report", pid, walk)
    return _zmalloc.Report(figures.get(name) for name in NAMES if name not in COUNTED)
