# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc report."""

from __future__ import annotations

from ..._figures import BY_NAME, LIMITS, NAMES, OF_ANY_PROCESS
from ..screen import Column, Table, print_json, safe, say, show, shown
from ..watched import Asked, clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

OTHERS_NOTE = "Only the library in that process knows what its allocator has in use: there, call zmalloc.publish()."


def report(arguments: argparse.Namespace) -> int:
    asked = Asked(arguments.pid)
    figures = asked.first
    if arguments.json:
        print_json(asked.as_json(figures))
        return asked.status
    names = NAMES if asked.is_told else OF_ANY_PROCESS
    table = Table([Column("figure", least=16), Column("value", number=True), Column("what it is", least=20, leave=1)])
    told = {name: shown(figures[name], arguments.bytes) for name in names}
    told.update({name: "none" for name in LIMITS if name in told and figures[name] is None})
    table.rows = [[name, told[name], BY_NAME[name].description] for name in names]
    print(f"{safe(asked.title)}{f', {asked.allocator}' if asked.allocator else ''}")
    show(table)
    if asked.published is not None:
        age = asked.published.age_us / 1e6
        say(f"Its own figures are of {clock(asked.published)}, {age:.1f} s ago; the kernel's are of now.")
    elif not asked.is_own:
        say(OTHERS_NOTE)
    return asked.status
