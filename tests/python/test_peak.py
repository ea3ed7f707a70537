# SPDX-License-Identifier: BSD-3-Clause
"""The most bytes in use that any reading found."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import zmalloc


@pytest.fixture(autouse=True)
def from_now_on() -> None:
    zmalloc.reset_peak_memory()


def test_a_reset_makes_it_what_is_in_use() -> None:
    with zmalloc.Block(1 << 20):
        assert zmalloc.peak_memory() >= 1 << 20
    assert zmalloc.peak_memory() >= 1 << 20
    assert zmalloc.reset_peak_memory() is None
    assert zmalloc.peak_memory() == zmalloc.used_memory()


@pytest.mark.parametrize("read", [zmalloc.used_memory, zmalloc.peak_memory, zmalloc.zmalloc_peak_memory])
def test_every_reading_finds_it(read: Callable[[], int]) -> None:
    before = zmalloc.used_memory()
    with zmalloc.Block(1 << 20) as block:
        size = zmalloc.zmalloc_size(block)
        assert read() == before + size
    with zmalloc.Block(1000):
        read()
    assert zmalloc.used_memory() == before
    assert zmalloc.peak_memory() == zmalloc.zmalloc_peak_memory() == before + size


def test_what_nobody_reads_is_not_seen() -> None:
    before = zmalloc.used_memory()
    zmalloc.Block(1 << 20).close()
    assert zmalloc.peak_memory() == before


def test_other_threads_blocks_and_readings_count() -> None:
    before = zmalloc.used_memory()
    sizes: list[int] = []

    def work() -> None:
        with zmalloc.Block(1 << 20) as block:
            sizes.append(zmalloc.zmalloc_size(block))
            zmalloc.used_memory()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert zmalloc.peak_memory() == before + sizes[0]
