# SPDX-License-Identifier: BSD-3-Clause
"""Fragmentation: which Blocks are worth moving, and moving them."""

from __future__ import annotations

from . import _zmalloc
from ._named import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._zmalloc import Block, Defrag

LONGEST = 1e6  # seconds; above it, the time is no limit


def defrag_hint(block: Block | None, /) -> bool:
    """Whether to move the Block would help to give memory back. OSError if the allocator can't tell: jemalloc can.

    >>> zmalloc.defrag_hint(zmalloc.Block(1_000_000))  # large ones have their pages to themselves
    False
    """
    return ask("defrag_hint", _zmalloc.zmalloc_defrag_hint, block)


def defrag(blocks: Sequence[Block | None], *, max_seconds: float | None = None, start: int = 0) -> Defrag:
    """Moves those Blocks of a list or tuple whose move helps to empty pages. Returns what was done, in bytes.

    What is in a Block stays the same, and so does used memory; a Block is never seen amid its move. A Block that has
    live views, such as a memoryview, stays where it is. The call begins at index start, and returns after about
    max_seconds: then position is less than len(blocks), and is the next call's start. Free pages go back after the
    decay times, or at once by purge(). OSError if the allocator can't tell which moves help: jemalloc can.

    >>> cache = [zmalloc.Block(100) for _ in range(20_000)]
    >>> del cache[::4], cache[::3], cache[::2]
    >>> done = zmalloc.defrag(cache)
    >>> done.position == done.asked == 5000 and done.freed_bytes > 1_000_000
    True
    """
    if isinstance(max_seconds, bool) or not isinstance(max_seconds, (int, float, type(None))):
        raise TypeError(
            f"defrag: argument 'max_seconds' must be a number or None, not {type(max_seconds).__name__}")
    if max_seconds is not None and not max_seconds >= 0:
        raise ValueError("defrag: argument 'max_seconds' must not be negative")
    limited = max_seconds is not None and max_seconds < LONGEST
    max_us = max(1, int(max_seconds * 1e6)) if limited else 0
    return ask("defrag", _zmalloc.zmalloc_defrag, blocks, start, max_us)
