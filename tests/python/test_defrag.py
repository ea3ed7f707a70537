# SPDX-License-Identifier: BSD-3-Clause
"""Blocks that move to undo fragmentation: what comes back, and which stay where they are."""

from __future__ import annotations

import errno
import math
import os

import pytest
import zmalloc

JEMALLOC = os.environ["ZMALLOC_ALLOCATOR"] == "jemalloc"
COUNT = 20_000

only_jemalloc = pytest.mark.skipif(not JEMALLOC, reason="this allocator can't tell which moves help")


def thin(size: int = 100) -> list[zmalloc.Block | None]:
    """Blocks on pages that are three quarters empty, each with other bytes in it."""
    blocks: list[zmalloc.Block | None] = []
    for i in range(COUNT):
        block = zmalloc.Block(size)
        block[:4] = i.to_bytes(4, "little")
        blocks.append(block)
    for i in range(COUNT):
        if i % 4:
            blocks[i] = None
    zmalloc.purge()
    return blocks


def check(blocks: list[zmalloc.Block | None]) -> None:
    for i, block in enumerate(blocks):
        assert block is None or bytes(block) == i.to_bytes(4, "little") + bytes(len(block) - 4)


@pytest.mark.skipif(JEMALLOC, reason="this allocator can")
def test_who_can_not_says_so() -> None:
    for call in (lambda: zmalloc.defrag([]), lambda: zmalloc.defrag_hint(None)):
        with pytest.raises(OSError, match="defrag(_hint)?: ") as caught:
            call()
        assert caught.value.errno == errno.ENOTSUP


@only_jemalloc
def test_pages_come_back() -> None:
    blocks = thin()
    used, report = zmalloc.used_memory(), zmalloc.report()
    done = zmalloc.defrag(blocks)
    after = zmalloc.report()
    assert isinstance(done, zmalloc.Defrag)
    assert (done.position, done.asked, done.refused) == (COUNT, COUNT // 4, 0)
    assert COUNT // 8 < done.moved < COUNT // 4
    assert done.moved_bytes == done.moved * zmalloc.zmalloc_size(blocks[0])
    assert zmalloc.used_memory() == used
    if os.environ.get("ZMALLOC_HARDENED") == "1":
        assert done.freed_bytes == 0  # the old places are quarantined
    else:
        assert done.freed_bytes > 1_000_000
        assert report.active - after.active == pytest.approx(done.freed_bytes, rel=0.1)
        holes = after.allocator_frag_smallbins_bytes
        assert holes < report.allocator_frag_smallbins_bytes - done.freed_bytes / 2
    check(blocks)


@only_jemalloc
def test_hints() -> None:
    blocks = thin(300)
    hints = zmalloc.zmalloc_defrag_hints(blocks)
    assert hints == [zmalloc.defrag_hint(block) for block in blocks]
    assert COUNT // 8 < sum(hints) < COUNT // 4
    assert zmalloc.zmalloc_defrag_hints(()) == []
    assert zmalloc.defrag_hint(zmalloc.Block(1_000_000)) is False
    check(blocks)


@only_jemalloc
def test_steps() -> None:
    blocks = thin(48)
    start, asked, steps = 0, 0, 0
    while start < COUNT:
        done = zmalloc.defrag(blocks, start=start, max_seconds=0)
        assert start < done.position <= COUNT
        start, asked, steps = done.position, asked + done.asked, steps + 1
    assert asked == COUNT // 4
    assert steps > COUNT // 200
    assert zmalloc.defrag(blocks, max_seconds=1000).position == COUNT
    assert zmalloc.defrag(blocks, max_seconds=math.inf).position == COUNT
    assert zmalloc.defrag(blocks, start=COUNT + 5)[:3] == (COUNT + 5, 0, 0)
    check(blocks)


@only_jemalloc
def test_who_must_stay_stays() -> None:
    """A view points into the memory; a closed Block has none."""
    blocks = thin()
    views = [memoryview(block) for block in blocks if block is not None]
    assert zmalloc.defrag(blocks)[1:] == (0, 0, 0, 0, 0)
    assert not any(zmalloc.zmalloc_defrag_hints(blocks))
    check(blocks)
    for view in views:
        view.release()
    for block in blocks[::8]:
        block.close()
    assert zmalloc.defrag(blocks).asked == COUNT // 8


@only_jemalloc
def test_a_block_twice_in_the_list_moves_as_one() -> None:
    blocks = thin()
    used = zmalloc.used_memory()
    done = zmalloc.defrag([block for block in blocks for _ in range(3)])
    assert done.asked == 3 * COUNT // 4
    assert zmalloc.used_memory() == used
    check(blocks)


@only_jemalloc
def test_what_is_no_block_ends_the_call() -> None:
    blocks = thin()
    used = zmalloc.used_memory()
    for call in (zmalloc.defrag, zmalloc.zmalloc_defrag_hints):
        with pytest.raises(TypeError, match=r"argument 'blocks' must hold Blocks or None, and holds int at 100"):
            call([*blocks[:100], 7, *blocks[100:]])
    assert zmalloc.used_memory() == used
    check(blocks)


def test_a_block_amid_a_resize_stays() -> None:
    block = zmalloc.Block(100)
    seen = []

    def handler(size: int) -> None:
        try:
            seen.append(zmalloc.defrag([block]).asked)
        except OSError as error:
            seen.append(error.errno)

    zmalloc.set_oom_handler(handler)
    with pytest.raises(MemoryError):
        block.resize(2**62)
    zmalloc.set_oom_handler(None)
    assert seen == [0 if JEMALLOC else errno.ENOTSUP]


def test_arguments() -> None:
    for wrong in (True, "1", [1]):
        with pytest.raises(TypeError, match="defrag: argument 'max_seconds' must be a number or None"):
            zmalloc.defrag([], max_seconds=wrong)
    for wrong in (-1, -0.5, math.nan):
        with pytest.raises(ValueError, match="defrag: argument 'max_seconds' must not be negative"):
            zmalloc.defrag([], max_seconds=wrong)
    for wrong in (None, {1}, "blocks", iter([])):
        with pytest.raises(TypeError, match="defrag: argument 'blocks' must be a list or a tuple of Blocks"):
            zmalloc.defrag(wrong)
    with pytest.raises(ValueError, match="defrag: argument 'start' must not be negative"):
        zmalloc.defrag([], start=-1)
