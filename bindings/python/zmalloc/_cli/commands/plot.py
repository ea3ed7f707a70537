# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc plot."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..failure import PARTIAL, USAGE, Failure, reason
from ..watched import Watched

if TYPE_CHECKING:
    import argparse


def plot(arguments: argparse.Namespace) -> int:
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise Failure(USAGE, f"plot: needs matplotlib, which can't be imported: {error}") from None
    kinds = sorted(FigureCanvasBase.get_supported_filetypes())
    if Path(arguments.output).suffix[1:].lower() not in kinds:
        raise Failure(USAGE, f"plot: '{arguments.output}' does not end in one of .{', .'.join(kinds)}")
    if not os.access(Path(arguments.output).parent, os.W_OK):
        raise Failure(PARTIAL, f"plot: can't write into the folder of '{arguments.output}'")
    watched = Watched(arguments.pid, arguments.count)
    for _ in watched.samples(arguments.interval, arguments.count):
        pass
    try:
        watched.monitor.plot(arguments.output, title=f"process {watched.pid}")
    except OSError as error:
        raise Failure(PARTIAL, f"plot: '{arguments.output}': {reason(error)}") from None
    return watched.end()
