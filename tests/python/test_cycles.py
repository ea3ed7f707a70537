# SPDX-License-Identifier: BSD-3-Clause
"""100,000 Blocks of every kind made and let go: used memory is back to the byte, and the process has not grown."""

from __future__ import annotations

import gc
from collections.abc import Callable

import machine
import pytest
import zmalloc

CYCLES = 100_000

MAKERS: dict[str, Callable[[], zmalloc.Block]] = {
    **{f"size {i}": lambda make=make: make(100) for i, (make, _) in enumerate(machine.MAKERS)},
    **{f"aligned {i}": lambda make=make: make(64, 100) for i, (make, _) in enumerate(machine.ALIGNED_MAKERS)},
    "string": lambda: zmalloc.zstrdup("x" * 99),
}


def in_a_cycle(block: zmalloc.Block) -> None:
    holder: list[object] = [block]
    holder.append(holder)


def with_a_view(block: zmalloc.Block) -> None:
    memoryview(block)[:1].release()


def resized(block: zmalloc.Block) -> None:
    block.resize(300)


# By turns: most are forgotten or closed, some are freed otherwise.
ENDS = [lambda block: None, zmalloc.Block.close, *machine.FREERS, in_a_cycle, with_a_view, resized]


def churn(make: Callable[[], zmalloc.Block], cycles: int) -> None:
    for i in range(cycles // len(ENDS)):
        for end in ENDS:
            end(make())
    gc.collect()


@pytest.mark.parametrize("name", MAKERS)
def test_cycles(name: str) -> None:
    before = zmalloc.used_memory()
    churn(MAKERS[name], CYCLES // 10)
    resident = zmalloc.rss()
    churn(MAKERS[name], CYCLES)
    assert zmalloc.used_memory() == before
    assert zmalloc.rss() - resident < 2 << 20


def test_cycles_of_all_at_once() -> None:
    """Of many sizes, a few hundred alive at a time."""
    before = zmalloc.used_memory()
    makers = [make for make, _ in machine.MAKERS]

    def churn_all(cycles: int) -> None:
        kept: list[zmalloc.Block | None] = [None] * 300
        for i in range(cycles):
            kept[i * 7 % 300] = makers[i % len(makers)](i * 31 % 5000)

    churn_all(CYCLES // 10)
    resident = zmalloc.rss()
    churn_all(CYCLES)
    assert zmalloc.used_memory() == before
    assert zmalloc.rss() - resident < 4 << 20
