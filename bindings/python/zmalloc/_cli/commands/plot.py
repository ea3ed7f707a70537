# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc plot."""

from __future__ import annotations

import logging
import os
import sys
from io import BytesIO
from pathlib import Path

import zmalloc

from ..._optional import is_installed, missing
from ..failure import PARTIAL, USAGE, Failure, ask, reason
from ..screen import Progress, safe
from ..watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def _try_to_draw(output: str) -> None:
    """What would fail at the end fails now, before the samples are taken."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise Failure(USAGE, f"plot: needs matplotlib, which can't be imported: {error}") from None
    empty = Figure()
    kinds = sorted(empty.canvas.get_supported_filetypes())
    kind = Path(output).suffix[1:].lower()
    if kind not in kinds:
        raise Failure(USAGE, f"plot: '{output}' does not end in one of .{', .'.join(kinds)}")
    if not os.access(Path(output).parent, os.W_OK):
        raise Failure(PARTIAL, f"plot: can't write into the folder of '{output}'")
    try:
        empty.savefig(BytesIO(), format=kind)
    except Exception as error:  # a kind may need another package or program
        raise Failure(USAGE, f"plot: can't make a .{kind} here: {error}") from None


def plot(arguments: argparse.Namespace) -> int:
    if not is_installed("matplotlib"):
        raise Failure(USAGE, f"plot: {missing('matplotlib')}")
    if arguments.pid != os.getpid():
        ask(arguments.pid, lambda: zmalloc.rss(arguments.pid))  # matplotlib takes its time
    _try_to_draw(arguments.output)
    watched = Watched(arguments.pid, arguments.count)
    with Progress(sys.stderr) as progress:
        for number, _ in enumerate(watched.readings(arguments.interval, arguments.count), 1):
            left = (arguments.count - number) * arguments.interval
            title = safe(watched.title, sys.stderr)
            progress.tell(f"{title}: reading {number} of {arguments.count}, {left:.0f} s left")
    try:
        watched.monitor.plot(arguments.output, title=safe(watched.title).replace("$", r"\$"))
    except OSError as error:
        raise Failure(PARTIAL, f"plot: '{arguments.output}': {reason(error)}") from None
    return watched.end()
