# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of runs: by matplotlib into a file, or in text where that is not installed."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from io import BytesIO
from pathlib import Path

from .._optional import is_installed
from .failure import PARTIAL, USAGE, Failure
from .preloaded import LEVELS
from .run_report import moments
from .screen import human, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .running import Outcome

BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.:-=+*#"
TEXT_WIDTH = 60


def expect_drawable(command: str, output: str) -> None:
    """What would fail at the end fails now, before there is anything to draw."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise Failure(USAGE, f"{command}: needs matplotlib, which can't be imported: {error}") from None
    empty = Figure()
    kinds = sorted(empty.canvas.get_supported_filetypes())
    kind = Path(output).suffix[1:].lower()
    if kind not in kinds:
        raise Failure(USAGE, f"{command}: '{output}' does not end in one of .{', .'.join(kinds)}")
    if not os.access(Path(output).parent, os.W_OK):
        raise Failure(PARTIAL, f"{command}: can't write into the folder of '{output}'")
    try:
        empty.savefig(BytesIO(), format=kind)
    except Exception as error:  # a kind may need another package or program
        raise Failure(USAGE, f"{command}: can't make a .{kind} here: {error}") from None


def can_draw() -> bool:
    return is_installed("matplotlib")


def _title(words: list[str]) -> str:
    text = safe(shlex.join(words))
    return (text if len(text) <= 70 else text[:69] + "…").replace("$", r"\$")


def draw_run(output: str, outcome: Outcome, words: list[str]) -> None:
    """The levels over time, as a Monitor draws them."""
    from .._monitor.plot import plot
    from .._monitor.series import Sample, Series

    wall = time.time() - outcome.wall

    class Readings(Series):
        """Those of the run, in the place of a Monitor's."""

        def __init__(self) -> None:
            self.pid = None

        def samples(self) -> list[Sample]:
            found = []
            for each in moments(outcome.readings):
                values: dict[str, Any] = dict.fromkeys(Sample._fields)
                values |= {name: getattr(each, name) for name in LEVELS}
                values |= {"monotonic": each.time, "wall": wall + each.time}
                found.append(Sample(**values))
            return found

        def events(self) -> list[object]:  # type: ignore[override]
            return []

    plot(Readings(), output, f"{_title(words)}: {outcome.own[-1].allocator if outcome.own else 'unknown'}")


# Told apart also by those who see few colours, and by a printer without any.
STYLES = (("#000000", "-"), ("#bc5090", "--"), ("#ffa600", "-."), ("#003f5c", ":"), ("#2f9e44", (0, (5, 1, 1, 1))))


def draw_comparison(output: str, words: list[str], courses: list[tuple[str, list[tuple[float, int]]]]) -> None:
    """RSS over time, a line for each allocator."""
    from matplotlib.figure import Figure

    from .._monitor.plot import SIZE, TIMES, UNITS, unit_of

    highest = max((size for _, points in courses for _, size in points), default=0)
    longest = max((points[-1][0] for _, points in courses if points), default=0.0)
    unit, size_of_unit = unit_of(UNITS, highest, "bytes")
    time_unit, scale = unit_of(TIMES, longest, "seconds")
    axes = Figure(figsize=SIZE, layout="constrained").add_subplot()
    for (name, points), (colour, style) in zip(courses, STYLES):
        axes.plot([moment / scale for moment, _ in points], [size / size_of_unit for _, size in points], label=name,
                  color=colour, linestyle=style, marker="." if len(points) < 3 else None)  # fmt: skip
    axes.set_title(f"{_title(words)}: RSS")
    axes.set_xlabel(f"{time_unit} since the start")
    axes.set_ylabel(unit)
    axes.set_ylim(0, None)
    axes.set_xlim(0, None)
    axes.legend()
    axes.figure.savefig(output)


def text_picture(lines: Sequence[tuple[str, Sequence[tuple[float, int]]]]) -> list[str]:
    """For each name its figure over time as a row of bars, all by one scale, and how high it was at most."""
    longest = max((points[-1][0] for _, points in lines if points), default=0.0)
    highest = max((size for _, points in lines for _, size in points), default=0)
    bars = BARS if (sys.stdout.encoding or "").lower().startswith("utf") else PLAIN_BARS
    width = max((len(name) for name, _ in lines), default=0)
    rows = []
    for name, points in lines:
        tops = [0] * TEXT_WIDTH
        for moment, size in points:
            place = min(int(moment / longest * TEXT_WIDTH) if longest else 0, TEXT_WIDTH - 1)
            tops[place] = max(tops[place], size)
        for place in range(1, TEXT_WIDTH):  # between two readings the last one holds, until the run ends
            if tops[place] == 0 and points and place / TEXT_WIDTH * longest <= points[-1][0]:
                tops[place] = tops[place - 1]
        text = "".join(bars[(len(bars) - 1) * top // highest] if top else " " for top in tops) if highest else ""
        rows.append(f"{name:{width}}  {text}  {human(max((size for _, size in points), default=0))}")
    return rows
