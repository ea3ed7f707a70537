# SPDX-License-Identifier: BSD-3-Clause
"""What each command does: asks the module, and tells the answer to people or to other programs."""

from __future__ import annotations

from .completion import completion
from .manual import manual
from .mappings import mappings
from .plot import plot
from .report import report
from .serve import serve
from .smaps import smaps
from .watch import watch

_IN_ORDER = (report, smaps, mappings, watch, plot, serve, completion, manual)
COMMANDS = {command.__name__: command for command in _IN_ORDER}
