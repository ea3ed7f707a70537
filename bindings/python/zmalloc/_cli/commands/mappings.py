# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc mappings."""

from __future__ import annotations

import zmalloc

from ..failure import OK, ask
from ..parser import SORT_FIELDS
from ..screen import Column, Table, print_json, safe, show, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

NAMES = ("begin", "end", "offset", "permissions", "path", "fields")


def _wanted(found: Sequence[zmalloc.Mapping], key: str, top: int | None) -> list[zmalloc.Mapping]:
    """In the order asked for: addresses and paths upwards, sizes from the largest."""
    if key == "path":
        ordered = sorted(found, key=lambda mapping: (mapping.path, mapping.begin))
    elif key == "address":
        ordered = list(found)
    else:
        ordered = sorted(found, key=lambda mapping: -mapping.fields.get(SORT_FIELDS[key], 0))
    return ordered[:top]


def mappings(arguments: argparse.Namespace) -> int:
    pid = arguments.pid
    found = ask(pid, lambda: zmalloc.mappings(pid))
    key = arguments.sort or ("address" if arguments.top is None else "rss")
    wanted = _wanted(found, key, arguments.top)
    if arguments.json:
        print_json({"pid": pid, "mappings": [dict(zip(NAMES, mapping)) for mapping in wanted]})
        return OK
    table = Table([Column("addresses", leave=1), Column("mode", leave=2)])
    sums: dict[str, int | None] = {}
    for field, leave in (("Size", 3), ("Rss", 0), ("Pss", 5), ("Private_Dirty", 4), ("Swap", 6)):
        if any(field in mapping.fields for mapping in found):
            table.columns.append(Column(field, number=True, leave=0 if field.lower() == key else leave))
            sizes = [mapping.fields.get(field) for mapping in found]
            sums[field] = None if None in sizes else sum(filter(None, sizes))
    table.columns.append(Column("path", least=16, keep_end=True))
    for mapping in wanted:
        told = [shown(mapping.fields.get(field), arguments.bytes) for field in sums]
        addresses = f"{mapping.begin:012x}-{mapping.end:012x}"
        table.rows.append([addresses, mapping.permissions, *told, safe(mapping.path)])
    number = f"{len(found)} mappings"
    if len(wanted) < len(found):
        number += f", {len(wanted)} shown"
    table.rows.append(["", "", *(shown(size, arguments.bytes) for size in sums.values()), number])
    show(table)
    return OK
