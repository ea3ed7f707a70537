# SPDX-License-Identifier: BSD-3-Clause
"""Several threads, and a forked process."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

import pytest
import zmalloc


def test_blocks_of_many_threads_are_counted() -> None:
    """Threads allocate, resize, free their own and each other's blocks, and end."""
    before = zmalloc.used_memory()
    passed: SimpleQueue[zmalloc.Block] = SimpleQueue()
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        own: list[zmalloc.Block] = []
        try:
            for step in range(2000):
                block = zmalloc.Block(chance.randrange(5000))
                own.append(block)
                if step % 3 == 0:
                    own[chance.randrange(len(own))].resize(chance.randrange(5000))
                if step % 5 == 0:
                    passed.put(own.pop())
                if len(own) > 50:
                    zmalloc.zfree(own.pop(0))
                with suppress(Empty):
                    passed.get_nowait().close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    while not passed.empty():
        passed.get().close()
    assert zmalloc.used_memory() == before


def test_one_block_and_many_threads() -> None:
    """A block that all close, resize and look at: each gets its turn or an exception."""
    for _ in range(50):
        block = zmalloc.Block(100)
        barrier = threading.Barrier(4)

        def work(use: Callable[[zmalloc.Block], object]) -> None:
            barrier.wait()
            with suppress(ValueError, BufferError):
                for _ in range(20):
                    use(block)

        uses = [bytes, lambda b: b.resize(5000), lambda b: b.resize(1), lambda b: zmalloc.zfree(b)]
        threads = [threading.Thread(target=work, args=(use,)) for use in uses]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        block.close()


@pytest.mark.parametrize(
    "ask",
    [
        zmalloc.zmalloc_purge,
        zmalloc.jemalloc_purge,
        zmalloc.zmalloc_process_rss,
        zmalloc.zmalloc_smaps,
        zmalloc.zmalloc_mappings,
        lambda: zmalloc.zmalloc_report(0),
        lambda: zmalloc.zmalloc_report(1),
        zmalloc.zmalloc_allocator_info,
        zmalloc.zmalloc_get_allocator_info,
        zmalloc.zmalloc_private_dirty,
        zmalloc.zmalloc_get_private_dirty,
        lambda: zmalloc.zmalloc_smap_bytes_by_field("Rss"),
        lambda: zmalloc.zmalloc_get_smap_bytes_by_field("Rss"),
    ],
)
def test_a_long_call_lets_other_threads_run(ask: Callable[[], object]) -> None:
    interval = sys.getswitchinterval()
    gate = threading.Lock()
    gate.acquire()
    ran: list[bool] = []

    def work() -> None:
        with gate:
            ran.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    sys.setswitchinterval(1000)  # from here on, nobody runs unless this thread lets it
    try:
        gate.release()
        end = time.monotonic() + 20
        while not ran and time.monotonic() < end:
            ask()
        alone = not ran
    finally:
        sys.setswitchinterval(interval)
    thread.join()
    assert not alone


def test_a_forked_child_goes_on() -> None:
    block = zmalloc.Block(1000)
    before = zmalloc.used_memory()
    child = os.fork()
    if child == 0:
        try:
            right = zmalloc.used_memory() == before
            block.close()
            other = zmalloc.Block(5000)
            right = right and zmalloc.used_memory() == zmalloc.zmalloc_size(other)
        except BaseException:
            right = False
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert zmalloc.used_memory() == before
