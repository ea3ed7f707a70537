# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc smaps."""

from __future__ import annotations

import difflib

import zmalloc

from ..failure import OK, USAGE, Failure, ask
from ..screen import Column, Table, print_json, safe, show, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def smaps(arguments: argparse.Namespace) -> int:
    pid = arguments.pid
    sums = ask(pid, lambda: zmalloc.smaps(pid=pid))
    wanted = {} if arguments.fields else sums
    for name in arguments.fields:
        plain = name[:-1] if name.endswith(":") else name  # as the kernel writes it
        wanted[plain] = sums[plain] if plain in sums else ask(pid, lambda: _rare_field(name, pid, sums))  # noqa: B023
    if arguments.json:
        print_json({"pid": pid, "fields": wanted})
        return OK
    rows = [[safe(name), shown(size, arguments.bytes)] for name, size in wanted.items()]
    show(Table([Column("field", least=8), Column("sum", number=True)], rows))
    return OK


def _rare_field(name: str, pid: int, others: dict[str, int]) -> int:
    """One that the kernel has in each mapping and does not sum."""
    try:
        return zmalloc.smaps(name, pid)
    except (FileNotFoundError, ValueError):
        known = {field for mapping in zmalloc.mappings(pid) for field in mapping.fields} | set(others)
        folded = {field.casefold(): field for field in sorted(known)}
        near = difflib.get_close_matches(name.casefold(), folded, 1)
        hint = f": did you mean {folded[near[0]]}?" if near else f"; there are {', '.join(sorted(known))}"
        raise Failure(USAGE, f"smaps: no field '{name}'{hint}") from None
