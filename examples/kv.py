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
    """Prints where the memory is, in the words of Redis's INFO."""
    info = zmalloc.allocator_info()
    used, rss = zmalloc.used_memory(), zmalloc.rss()
    figures = {
        "used_memory": used,
        "used_memory_rss": rss,
        "allocator_allocated": info.allocated,
        "allocator_active": info.active,
        "allocator_resident": info.resident,
        "mem_fragmentation_ratio": f"{rss / used:.2f}" if used else None,
        "mem_allocator": zmalloc.allocator,
        "smaps Rss": zmalloc.smaps("Rss"),
        "smaps Private_Dirty": zmalloc.smaps("Private_Dirty"),
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
    zmalloc.purge()
    report("Purged", store)


main()
