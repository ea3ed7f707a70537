# SPDX-License-Identifier: BSD-3-Clause
"""The key-value store of kv.c in Python: every word of some texts and where it stands, in counted blocks."""

import re
import struct
import sys
from pathlib import Path

import zmalloc

PLACE = struct.Struct("q")


def note(store: dict[str, zmalloc.Block], word: str, place: int) -> None:
    """Appends a place to the word's block."""
    block = store.get(word)
    if block is None:
        block = store[word] = zmalloc.Block(PLACE.size)
    else:
        block.resize(len(block) + PLACE.size)
    PLACE.pack_into(block, len(block) - PLACE.size, place)


def load(store: dict[str, zmalloc.Block], text: str) -> None:
    """Notes every word of a text."""
    for match in re.finditer("[a-z]+", text.lower()):
        note(store, match.group(), match.start())


def thin_out(store: dict[str, zmalloc.Block]) -> None:
    """Deletes all words but every tenth."""
    for i, word in enumerate(list(store)):
        if i % 10 != 0:
            store.pop(word).close()


def report(stage: str, store: dict[str, zmalloc.Block]) -> None:
    """Prints where the memory is, in the words of Redis's INFO; the differences and used_memory add up to RSS."""
    memory = zmalloc.report(walk=True)
    ratio = memory.mem_fragmentation_ratio
    figures = {
        "used_memory": memory.used,
        "allocator_overhead_bytes": memory.allocator_overhead_bytes,
        "allocator_frag_bytes": memory.allocator_frag_bytes,
        "allocator_rss_bytes": memory.allocator_rss_bytes,
        "rss_overhead_bytes": memory.rss_overhead_bytes,
        "used_memory_rss": memory.rss,
        "used_memory_private_dirty": memory.private_dirty,
        "mem_fragmentation_ratio": f"{ratio:.2f}" if ratio is not None else None,
        "mem_allocator": zmalloc.allocator,
    }
    print(f"# {stage}, {len(store)} words")
    for name, figure in figures.items():
        print(f"{name}:{'unknown' if figure is None else figure}")
    print()


def main() -> None:
    """Loads the texts named as arguments, or the licences that Debian ships."""
    folder = Path("/usr/share/common-licenses")
    texts = [Path(name) for name in sys.argv[1:]]
    store: dict[str, zmalloc.Block] = {}

    report("Empty", store)
    for path in texts or (path for path in folder.iterdir() if not path.is_symlink()):
        load(store, path.read_text(encoding="utf-8", errors="replace"))
    report("Loaded", store)
    thin_out(store)
    report("Most words deleted", store)
    returned = zmalloc.purge()
    report("Purged", store)
    print(f"returned:{returned}")


main()
