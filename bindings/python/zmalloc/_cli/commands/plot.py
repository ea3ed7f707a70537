# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc plot."""

from __future__ import annotations

import os
import sys

import zmalloc

from ..._optional import is_installed, missing
from ..drawing import expect_drawable
from ..failure import PARTIAL, USAGE, Failure, ask, reason
from ..screen import Progress, safe
from ..watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def plot(arguments: argparse.Namespace) -> int:
    if not is_installed("matplotlib"):
        raise Failure(USAGE, f"plot: {missing('matplotlib')}")
    if arguments.pid != os.getpid():
        ask(arguments.pid, lambda: zmalloc.rss(arguments.pid))  # matplotlib takes its time
    expect_drawable("plot", arguments.output)
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
