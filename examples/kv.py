# SPDX-License-Identifier: BSD-3-Clause
"""The key-value store of kv.c in Python. It loads 50 MiB of paragraphs, deletes nine of ten, and purges."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import zmalloc

ENOUGH = 50 << 20


def load(store: dict[str, zmalloc.Block], texts: list[bytes]) -> None:
    """Makes every paragraph a value. The texts are loaded again and again until there is enough."""
    paragraphs = [[part for part in re.split(rb"\n\s*\n", text) if part.strip()] for text in texts]
    if not any(paragraphs):
        sys.exit("kv: there is nothing in these texts")
    number = 0
    while zmalloc.used_memory() < ENOUGH:
        for number, parts in enumerate(paragraphs, number + 1):
            for i, part in enumerate(parts, 1):
                block = store[f"{number}.{i}"] = zmalloc.Block(len(part))
                block[:] = part


def thin_out(store: dict[str, zmalloc.Block]) -> None:
    """Deletes all but each tenth, so that the blocks left are strewn over all pages."""
    for i, key in enumerate(list(store)):
        if i % 10 != 0:
            store.pop(key).close()


def report(stage: str, store: dict[str, zmalloc.Block]) -> None:
    """Prints where the memory is, in the words of Redis's INFO: levels, and what each adds to the level above it."""
    memory = zmalloc.report()
    ratio = memory.mem_fragmentation_ratio
    rows: list[tuple[str, object, str, object]] = [
        ("used_memory", memory.used, "", ""),
        ("allocator_allocated", memory.allocated, "allocator_overhead_bytes", memory.allocator_overhead_bytes),
        ("allocator_active", memory.active, "allocator_frag_bytes", memory.allocator_frag_bytes),
        ("allocator_resident", memory.resident, "allocator_rss_bytes", memory.allocator_rss_bytes),
        ("used_memory_rss", memory.rss, "rss_overhead_bytes", memory.rss_overhead_bytes),
        ("mem_allocator", zmalloc.allocator, "mem_fragmentation_ratio", None if ratio is None else f"{ratio:.2f}"),
    ]
    print(f"# {stage}: {len(store)} values")
    for level, *figures in rows:
        figure, name, difference = ("unknown" if each is None else each for each in figures)
        print(f"{level:20}{figure:>15}   {name:25}{difference:>10}".rstrip())
    print()


def main() -> None:
    """Loads the texts named as arguments, or the licences that Debian ships."""
    folder = Path("/usr/share/common-licenses")
    texts = [Path(name) for name in sys.argv[1:]] or [path for path in folder.iterdir() if not path.is_symlink()]
    store: dict[str, zmalloc.Block] = {}

    report("Empty", store)
    load(store, [path.read_bytes() for path in texts])
    report("Loaded", store)
    thin_out(store)
    report("Most deleted", store)
    returned = zmalloc.purge()
    report("Purged", store)
    print(f"{'bytes_returned':20}{'unknown' if returned is None else returned:>15}\n")


main()
