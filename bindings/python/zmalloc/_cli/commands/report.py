# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmalloc

from ..._figures import BY_NAME, LIMITS, NAMES, OF_ANY_PROCESS
from ..screen import Column, Table, print_json, safe, say, show, shown
from ..watched import Watched

if TYPE_CHECKING:
    import argparse

OTHERS_NOTE = "Only the library in that process knows what its allocator has in use: there, call zmalloc.report()."


def report(arguments: argparse.Namespace) -> int:
    watched = Watched(arguments.pid)
    sample = watched.first
    if arguments.json:
        print_json(watched.figures(sample))
        return watched.status
    names = NAMES if watched.is_own else OF_ANY_PROCESS
    table = Table([Column("figure", least=16), Column("value", number=True), Column("what it is", least=20, leave=1)])
    told = {name: shown(getattr(sample, name), arguments.bytes) for name in names}
    told.update({name: "none" for name in LIMITS if name in told and getattr(sample, name) is None})
    table.rows = [[name, told[name], BY_NAME[name].description] for name in names]
    print(f"{safe(watched.title)}{f', {zmalloc.allocator}' if watched.is_own else ''}")
    show(table)
    if not watched.is_own:
        say(OTHERS_NOTE)
    return watched.status
