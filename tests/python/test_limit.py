# SPDX-License-Identifier: BSD-3-Clause
"""Limits on the bytes in use, and the handlers that are called at them."""

from __future__ import annotations

import gc
import math
import threading
from collections.abc import Callable, Iterator

import pytest
import zmalloc


@pytest.fixture(autouse=True)
def leaves_no_limit() -> Iterator[None]:
    before = zmalloc.used_memory()
    yield
    zmalloc.set_limit(None)
    zmalloc.set_soft_limit(None)
    zmalloc.set_oom_handler(None)
    gc.collect()
    assert zmalloc.used_memory() == before


MAKERS: dict[str, Callable[[int], object]] = {
    "Block": zmalloc.Block,
    "aligned Block": lambda size: zmalloc.Block(size, 64),
    "zmalloc": zmalloc.zmalloc,
    "zcalloc": zmalloc.zcalloc,
    "zmalloc_usable": zmalloc.zmalloc_usable,
    "zaligned_alloc": lambda size: zmalloc.zaligned_alloc(64, size),
    "zaligned_alloc_usable": lambda size: zmalloc.zaligned_alloc_usable(64, size),
    "zmalloc_no_tcache": zmalloc.zmalloc_no_tcache,
    "zstrdup": lambda size: zmalloc.zstrdup("x" * size),
    "zrealloc": lambda size: zmalloc.zrealloc(None, size),
    "resize": lambda size: zmalloc.Block(10).resize(size),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_would_pass_the_limit_is_a_memory_error(make: Callable[[int], object]) -> None:
    zmalloc.set_limit(zmalloc.used_memory() + 1_000_000)
    used = zmalloc.used_memory()
    with pytest.raises(MemoryError):
        make(1_100_000)
    gc.collect()
    assert zmalloc.used_memory() == used
    make(500_000)


def test_limit_is_told_and_ends_with_its_scope() -> None:
    assert zmalloc.limit() == math.inf
    outer = zmalloc.used_memory() + 5_000_000
    with zmalloc.limit(outer) as scope:
        assert scope.bytes == zmalloc.limit() == outer
        with zmalloc.limit(math.inf) as inner:
            assert inner.bytes == zmalloc.limit() == math.inf
        with pytest.raises(KeyError), zmalloc.limit(outer // 2):
            assert zmalloc.limit() == outer // 2
            raise KeyError
        assert zmalloc.limit() == outer
        with pytest.raises(RuntimeError, match="begun already"):
            scope.__enter__()
    assert zmalloc.limit() == math.inf
    for none in (None, math.inf, 0):
        zmalloc.set_limit(outer)
        zmalloc.set_limit(none)
        assert zmalloc.limit() == math.inf


def test_shrinking_and_freeing_always_work() -> None:
    block = zmalloc.Block(100_000)
    zmalloc.set_limit(1)
    block.resize(1000)
    with pytest.raises(MemoryError):
        block.resize(2000)
    assert len(block) == 1000
    block.close()


def test_handler_that_frees_is_asked_again() -> None:
    cache = [zmalloc.Block(100_000) for _ in range(9)]
    sizes: list[int] = []

    def evict(size: int) -> bool:
        sizes.append(size)
        if cache:
            cache.pop()
        return bool(cache)

    zmalloc.set_oom_handler(evict, retry=True)
    with zmalloc.limit(zmalloc.used_memory() + 50_000):
        block = zmalloc.Block(400_000)
        assert sizes == [400_000] * (9 - len(cache)) and 3 <= len(sizes) <= 5
        with pytest.raises(MemoryError, match="Block: can't allocate a size of 4000000 bytes"):
            zmalloc.Block(4_000_000)
        assert not cache
    block.close()


def words(error: pytest.ExceptionInfo[MemoryError]) -> str:
    return str(error.value)


def test_an_error_says_that_the_limit_refused_it() -> None:
    used = zmalloc.used_memory()
    limit = used + 1_000_000
    rest = f"the limit of {limit} bytes refused it, with"
    with zmalloc.limit(limit):
        with pytest.raises(MemoryError) as error:
            zmalloc.Block(4_000_000)
        assert words(error) == f"Block: can't allocate a size of 4000000 bytes: {rest} {used} in use"
        with zmalloc.Block(400_000) as block:
            held = zmalloc.used_memory()
            with pytest.raises(MemoryError) as error:
                block.resize(1_200_000)
            assert words(error) == f"resize: can't allocate a size of 1200000 bytes: {rest} {held} in use"
            with pytest.raises(MemoryError) as error:
                zmalloc.zrealloc(block, 1_200_000)
            assert words(error) == f"zrealloc: can't allocate a size of 1200000 bytes: {rest} {held} in use"


def test_what_was_in_use_is_told_of_when_it_was_refused() -> None:
    """A handler may have freed it meanwhile."""
    kept = [zmalloc.Block(100_000)]
    used = zmalloc.used_memory()
    zmalloc.set_oom_handler(lambda size: kept.clear())
    with zmalloc.limit(used + 1000), pytest.raises(MemoryError, match=f"refused it, with {used} in use$"):
        zmalloc.Block(200_000)


def test_where_no_limit_refused_it_none_is_named() -> None:
    for limit in (None, 2**63 - 1):
        with zmalloc.limit(limit), pytest.raises(MemoryError) as error:
            zmalloc.Block(2**60)
        assert words(error) == f"Block: can't allocate a size of {2**60} bytes"


def test_handler_is_not_asked_for_ever() -> None:
    asked: list[int] = []

    def lie(size: int) -> bool:
        asked.append(size)
        with pytest.raises(MemoryError):
            zmalloc.Block(10)
        return True

    zmalloc.set_oom_handler(lie, retry=True)
    zmalloc.set_limit(1)
    with pytest.raises(MemoryError, match="of 20 bytes"):
        zmalloc.Block(20)
    assert asked == [20] * (zmalloc.ZMALLOC_MOST_RETRIES + 1)
    zmalloc.set_oom_handler(lambda size: True)
    with pytest.raises(MemoryError):
        zmalloc.Block(20)


def test_handler_that_raises_ends_the_tries() -> None:
    zmalloc.set_oom_handler(lambda size: 1 / 0, retry=True)
    zmalloc.set_limit(1)
    with pytest.raises(ZeroDivisionError):
        zmalloc.Block(20)


def test_handler_can_not_free_what_is_being_resized() -> None:
    block = zmalloc.Block(1000)
    block[:] = bytes(range(250)) * 4
    zmalloc.set_limit(zmalloc.used_memory())

    def close(size: int) -> bool:
        block.close()
        return True

    zmalloc.set_oom_handler(close, retry=True)
    for resize in (block.resize, lambda size: zmalloc.zrealloc(block, size)):
        with pytest.raises(BufferError):
            resize(100_000)
        assert bytes(block) == bytes(range(250)) * 4
    block.close()


def test_soft_limit_calls_once() -> None:
    told: list[int] = []
    threads: list[int] = []
    soft = zmalloc.used_memory() + 1_000_000
    zmalloc.set_soft_limit(soft, lambda used: (told.append(used), threads.append(threading.get_ident())), 500_000)
    assert zmalloc.soft_limit() == soft
    for round_ in range(1, 4):
        blocks = []
        for _ in range(30):
            blocks.append(zmalloc.Block(50_000))
            assert len(told) == (round_ if zmalloc.used_memory() > soft else round_ - 1)
        assert told[-1] > soft
        del blocks
    assert set(threads) == {threading.get_ident()}

    thread = threading.Thread(target=lambda: zmalloc.Block(2_000_000))
    thread.start()
    thread.join()
    assert len(told) == 4
    zmalloc.set_soft_limit(None)
    zmalloc.Block(2_000_000)
    assert len(told) == 4
    assert zmalloc.soft_limit() == math.inf


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_every_maker_calls_and_what_the_handler_raises_leaves_it(make: Callable[[int], object]) -> None:
    zmalloc.set_soft_limit(zmalloc.used_memory() + 100_000, lambda used: 1 / 0)
    used = zmalloc.used_memory()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            make(200_000)
        gc.collect()
        assert zmalloc.used_memory() == used


def test_handler_may_use_the_block_that_passed_the_limit() -> None:
    block = zmalloc.Block(10)
    seen: list[object] = []

    def use(used: int) -> None:
        seen.append((len(block), block[199_999]))
        block.resize(5)
        block.close()

    zmalloc.set_soft_limit(zmalloc.used_memory() + 100_000, use)
    block.resize(200_000)
    assert seen == [(200_000, 0)]


def test_handler_that_passes_the_limit_itself_is_not_told_of_what_is_freed_again() -> None:
    kept = [zmalloc.Block(100_000) for _ in range(10)]
    told: list[int] = []

    def rebuild(used: int) -> None:
        told.append(used)
        kept.clear()
        zmalloc.Block(2_000_000).close()

    soft = zmalloc.used_memory() + 50_000
    zmalloc.set_soft_limit(soft, rebuild)
    block = zmalloc.Block(100_000)
    assert zmalloc.Block(10)
    assert len(told) == 1 and told[0] > soft >= zmalloc.used_memory()
    block.close()


def test_handler_that_keeps_what_passes_the_limit_is_called_after_the_next_call() -> None:
    kept = [zmalloc.Block(100_000) for _ in range(10)]
    told: list[int] = []

    def rebuild(used: int) -> None:
        told.append(used)
        kept.clear()
        if len(told) == 1:
            kept.append(zmalloc.Block(2_000_000))

    zmalloc.set_soft_limit(zmalloc.used_memory() + 50_000, rebuild)
    block = zmalloc.Block(100_000)
    assert len(told) == 1 and len(kept) == 1
    zmalloc.Block(10)
    assert told[1] > 2_000_000 and kept == []
    zmalloc.Block(10)
    assert len(told) == 2
    block.close()


def test_budget_holds_among_threads() -> None:
    """What they hold together never passes it; what one frees, others can have."""
    budget = zmalloc.used_memory() + 2_000_000
    refused = [0] * 8

    def work(number: int) -> None:
        blocks: list[zmalloc.Block] = []
        for step in range(2000):
            try:
                blocks.append(zmalloc.Block((step * 7919 + number) % 20_000 + 1))
            except MemoryError:
                refused[number] += 1
                del blocks[: len(blocks) // 2 + 1]

    with zmalloc.limit(budget):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        zmalloc.reset_peak_memory()
        while any(thread.is_alive() for thread in threads):
            assert zmalloc.used_memory() <= budget + 20_100  # a new block beside the old one, for a moment
        for thread in threads:
            thread.join()
    assert sum(refused) > 0
