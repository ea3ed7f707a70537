# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmalloc

from ..screen import Column, Table, print_json, say, show, shown
from ..watched import KERNEL, Watched

if TYPE_CHECKING:
    import argparse

FIGURES = {
    "used": "in blocks, to the byte",
    "allocated": "in blocks, as the allocator counts",
    "active": "in pages that hold blocks",
    "resident": "held by the allocator",
    "rss": "held of the machine's memory",
    "allocator_overhead_bytes": "allocated beyond used",
    "allocator_frag_bytes": "active beyond allocated",
    "allocator_rss_bytes": "resident beyond active: can be purged",
    "rss_overhead_bytes": "code, stacks, other libraries' memory",
    "mapped": "the allocator's addresses for blocks",
    "retained": "addresses kept, memory given back",
    "metadata": "for the allocator's own use",
    "mem_fragmentation_ratio": "rss / used",
    "allocator_frag_smallbins_ratio": "places for small blocks / those taken",
    "pss": "rss, shared pages by their part",
    "uss": "what would be free if it ended",
    "private_dirty": "written to, and shared with none",
    "swap": "in swap, and not in rss",
    "huge_pages": "in huge pages without a file",
    "peak": "the most used that any reading found",
    "total_allocated": "ever allocated",
    "total_freed": "ever freed",
    "limit": "the most that may be used",
    "soft_limit": "beyond this the handler is called",
}
LIMITS = ("limit", "soft_limit")
OTHERS_NOTE = "What its allocator has in use only the library in that process can tell: there, zmalloc.report()."


def report(arguments: argparse.Namespace) -> int:
    watched = Watched(arguments.pid)
    sample = watched.first
    if arguments.json:
        print_json(watched.figures(sample))
        return watched.status
    names = FIGURES if watched.is_own else KERNEL
    table = Table([Column("figure", least=16), Column("value", number=True), Column("what it is", least=20, leave=1)])
    told = {name: shown(getattr(sample, name), arguments.bytes) for name in names}
    told.update({name: "none" for name in LIMITS if name in told and getattr(sample, name) is None})
    table.rows = [[name, told[name], FIGURES[name]] for name in names]
    print(f"process {watched.pid}{f', {zmalloc.allocator}' if watched.is_own else ''}")
    show(table)
    if not watched.is_own:
        say(OTHERS_NOTE)
    return watched.status
