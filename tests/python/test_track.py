# SPDX-License-Identifier: BSD-3-Clause
"""Scopes: what was allocated and freed in them, to the byte."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest
import zmalloc

SIZES = (0, 1, 24, 100, 4097, 1 << 20)


def in_thread(work: Callable[[], object]) -> object:
    """What work returns, or the exception that it raises, in another thread."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return results[0]


def cost(*blocks: zmalloc.Block) -> int:
    return sum(map(zmalloc.zmalloc_size, blocks))


both = pytest.mark.parametrize("all_threads", [False, True])


@both
def test_what_is_kept_is_what_the_blocks_cost(all_threads: bool) -> None:
    with zmalloc.track(all_threads=all_threads) as t:
        kept = [zmalloc.Block(size) for size in SIZES]
        gone = [zmalloc.Block(size, 64) for size in SIZES]
        freed = cost(*gone)
        gone.clear()
    assert t.kept == cost(*kept)
    assert t.freed == freed
    assert t.allocated == freed + cost(*kept)


@both
def test_it_tells_so_far_and_then_no_more(all_threads: bool) -> None:
    with zmalloc.track(all_threads=all_threads) as t:
        assert (t.allocated, t.freed, t.kept) == (0, 0, 0)
        block = zmalloc.Block(100)
        size = cost(block)
        assert (t.allocated, t.freed, t.kept) == (size, 0, size)
        block.close()
        assert (t.allocated, t.freed, t.kept) == (size, size, 0)
    with zmalloc.Block(1000):
        assert (t.allocated, t.freed, t.kept) == (size, size, 0)
    assert (t.allocated, t.freed, t.kept) == (size, size, 0)


@both
def test_less_than_nothing_may_be_kept(all_threads: bool) -> None:
    block = zmalloc.Block(1000)
    size = cost(block)
    with zmalloc.track(all_threads=all_threads) as t:
        block.close()
    assert (t.allocated, t.freed, t.kept) == (0, size, -size)


def test_a_resize_is_one_freed_and_one_allocated() -> None:
    block = zmalloc.Block(100)
    before = cost(block)
    with zmalloc.track() as t:
        block.resize(5000)
    assert (t.allocated, t.freed) == (cost(block), before)


def test_scopes_in_scopes() -> None:
    with zmalloc.track() as outer:
        first = zmalloc.Block(100)
        with zmalloc.track() as inner, zmalloc.track(all_threads=True) as whole:
            second = zmalloc.Block(5000)
        third = zmalloc.Block(300)
        first_size = cost(first)
        first.close()
    assert inner.kept == whole.kept == cost(second)
    assert (inner.freed, whole.freed) == (0, 0)
    assert outer.kept == cost(second, third)
    assert outer.freed == first_size


def test_an_exception_ends_it() -> None:
    block = None
    with pytest.raises(KeyError, match="mine"), zmalloc.track() as t:
        block = zmalloc.Block(100)
        raise KeyError("mine")
    with zmalloc.Block(100):
        assert t.kept == cost(block)


def test_what_is_no_block_is_not_counted() -> None:
    with zmalloc.track() as t, zmalloc.track(all_threads=True) as whole:
        kept = [bytes(1000) for _ in range(1000)]
    assert (t.allocated, t.freed, whole.allocated, whole.freed) == (0, 0, 0, 0)
    del kept


def test_another_thread_s_blocks() -> None:
    with zmalloc.track() as own, zmalloc.track(all_threads=True) as whole:
        block = in_thread(lambda: zmalloc.Block(5000))
        another = in_thread(lambda: zmalloc.Block(100))
        size = cost(another)
        in_thread(another.close)
        assert (own.allocated, own.freed, own.kept) == (0, 0, 0)
        assert whole.kept == cost(block)
    assert (own.allocated, own.freed) == (0, 0)
    assert (whole.allocated, whole.freed) == (size + cost(block), size)


def test_a_block_of_one_thread_freed_by_another() -> None:
    block = in_thread(lambda: zmalloc.Block(5000))
    size = cost(block)
    with zmalloc.track() as t:
        block.close()
    assert (t.allocated, t.freed, t.kept) == (0, size, -size)


def test_threads_that_work_at_once() -> None:
    failures: list[object] = []
    barrier = threading.Barrier(4)

    def work(seed: int) -> None:
        barrier.wait()
        for step in range(200):
            with zmalloc.track() as t:
                kept = [zmalloc.Block(size * seed + step) for size in (1, 10, 1000)]
                zmalloc.Block(step).close()
            if t.kept != cost(*kept):
                failures.append((seed, step))
            kept.clear()

    with zmalloc.track(all_threads=True) as whole:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert whole.kept == 0
    assert whole.allocated == whole.freed >= 4 * 200 * 1000


@pytest.mark.parametrize(
    "use",
    [
        lambda t: t.allocated,
        lambda t: t.freed,
        lambda t: t.kept,
        lambda t: t.__exit__(None, None, None),
    ],
)
def test_a_scope_of_one_thread_is_no_other_s(use: Callable[[zmalloc.Track], object]) -> None:
    with zmalloc.track() as t:
        block = zmalloc.Block(100)
        error = in_thread(lambda: use(t))
        assert isinstance(error, RuntimeError)
        assert str(error) == "track: the scope is another thread's, which alone can read and end it"
        another = zmalloc.Block(100)
    assert t.kept == in_thread(lambda: t.kept) == cost(block, another)


def test_a_thread_that_has_ended_leaves_its_scope_to_nobody() -> None:
    """The thread after it often has the same ident."""
    for _ in range(20):
        t = zmalloc.track()
        assert in_thread(t.__enter__) is t
        assert isinstance(in_thread(lambda: t.kept), RuntimeError)  # noqa: B023
        with pytest.raises(RuntimeError, match="another thread's"):
            t.kept


def test_a_scope_of_all_threads_is_everybody_s() -> None:
    t = zmalloc.track(all_threads=True)
    in_thread(t.__enter__)
    block = zmalloc.Block(100)
    assert in_thread(lambda: t.kept) == t.kept == cost(block)
    in_thread(lambda: t.__exit__(None, None, None))
    with zmalloc.Block(100):
        assert t.kept == cost(block)


def test_a_forked_child_goes_on() -> None:
    with zmalloc.track() as t:
        block = zmalloc.Block(1000)
        child = os.fork()
        if child == 0:
            other = zmalloc.Block(5000)
            os._exit(0 if t.kept == cost(block, other) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert t.kept == cost(block)


def test_it_has_one_beginning() -> None:
    t = zmalloc.track()
    for use in (lambda: t.allocated, lambda: t.freed, lambda: t.kept, lambda: t.__exit__(None, None, None)):
        with pytest.raises(RuntimeError, match="^track: the scope has not begun$"):
            use()
    with t, pytest.raises(RuntimeError, match="^track: the scope has begun already"):
        t.__enter__()
    with pytest.raises(RuntimeError, match="^track: the scope has begun already"), t:
        pass


@pytest.mark.parametrize("value", [None, 0, 1, "yes", [], object()])
def test_all_threads_is_a_bool(value: object) -> None:
    with pytest.raises(TypeError, match="^track: argument 'all_threads' must be a bool, not "):
        zmalloc.track(all_threads=value)


def test_arguments_have_names() -> None:
    with pytest.raises(TypeError):
        zmalloc.track(True)
    with pytest.raises(TypeError):
        zmalloc.track(every_thread=True)


@pytest.mark.parametrize("name", ["allocated", "freed", "kept", "nonsense"])
def test_numbers_can_not_be_set(name: str) -> None:
    with zmalloc.track() as t, pytest.raises(AttributeError):
        setattr(t, name, 1)


def test_totals_that_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmalloc._zmalloc, "zmalloc_thread_allocated", iter([2**64 - 10, 20]).__next__)
    with zmalloc.track() as t:
        pass
    assert t.kept == 30
