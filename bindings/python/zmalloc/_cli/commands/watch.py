# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc watch."""

from __future__ import annotations

import time

from ..._figures import OF_ANY_PROCESS
from ..._optional import hint
from ..failure import complain
from ..screen import UNKNOWN, Column, Rolling, could_be_rich, print_json, safe, shown
from ..watched import Watched, clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def watch(arguments: argparse.Namespace) -> int:
    watched = Watched(arguments.pid)
    if arguments.json:
        for figures in watched.readings(arguments.interval, arguments.count):
            print_json(watched.as_json(figures))
        return watched.end()
    if could_be_rich():
        complain(f"a table in place, and colours, need rich: {hint('rich')}")
    print(safe(watched.title), flush=True)
    names = [*(("used", "allocated", "active", "resident") if watched.is_told else ()), *OF_ANY_PROCESS]
    widths = [max(len(name), 14 if arguments.bytes else 9) for name in names]
    heads = [name.rjust(width) for name, width in zip(names, widths)]
    columns = [Column("time".ljust(8)), *(Column(head, True, leave=i) for i, head in enumerate(heads))]
    shows_since = watched.published is not None
    if shows_since:
        columns.append(Column("as of".ljust(8), leave=1))
    with Rolling(columns) as table:
        for figures in watched.readings(arguments.interval, arguments.count):
            sizes = [shown(figures[name], arguments.bytes) for name in names]
            cells = [size.rjust(width) for size, width in zip(sizes, widths)]
            told = [clock(watched.published) if watched.published else UNKNOWN.ljust(8)] if shows_since else []
            table.add([time.strftime("%H:%M:%S", time.localtime(figures["wall"])), *cells, *told])
    return watched.end()
