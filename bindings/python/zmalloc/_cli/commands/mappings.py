# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc mappings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmalloc

from ..failure import OK, ask
from ..screen import Column, Table, print_json, safe, show, shown

if TYPE_CHECKING:
    import argparse


def mappings(arguments: argparse.Namespace) -> int:
    pid = arguments.pid
    found = ask(pid, lambda: zmalloc.mappings(pid))
    if arguments.json:
        names = ("begin", "end", "offset", "permissions", "path", "fields")
        print_json({"pid": pid, "mappings": [dict(zip(names, mapping)) for mapping in found]})
        return OK
    table = Table([Column("addresses", leave=1), Column("mode", leave=2)])
    sums: dict[str, int | None] = {}
    for field, leave in (("Size", 3), ("Rss", 0), ("Pss", 5), ("Private_Dirty", 4), ("Swap", 6)):
        if any(field in mapping.fields for mapping in found):
            table.columns.append(Column(field, number=True, leave=leave))
            sizes = [mapping.fields.get(field) for mapping in found]
            sums[field] = None if None in sizes else sum(filter(None, sizes))
    table.columns.append(Column("path", least=16, keep_end=True))
    for mapping in found:
        told = [shown(mapping.fields.get(field), arguments.bytes) for field in sums]
        addresses = f"{mapping.begin:012x}-{mapping.end:012x}"
        table.rows.append([addresses, mapping.permissions, *told, safe(mapping.path)])
    table.rows.append(["", "", *(shown(size, arguments.bytes) for size in sums.values()), f"{len(found)} mappings"])
    show(table)
    return OK
