# SPDX-License-Identifier: BSD-3-Clause
"""When there is no memory: handlers written in Python, and MemoryError without one."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable

import pytest
import zmalloc

HUGE = 2**62

# Everything that may call the handler, asking for HUGE.
FAILING = [
    zmalloc.Block,
    zmalloc.zmalloc,
    zmalloc.zmalloc_usable,
    zmalloc.zmalloc_no_tcache,
    zmalloc.zcalloc,
    zmalloc.zcalloc_usable,
    lambda size: zmalloc.zcalloc_num(2, size // 2),
    lambda size: zmalloc.zrealloc(None, size),
    lambda size: zmalloc.zrealloc(zmalloc.Block(1), size),
    lambda size: zmalloc.zrealloc_usable(zmalloc.Block(1), size),
    lambda size: zmalloc.Block(1).resize(size),
    lambda size: zmalloc.zaligned_alloc(64, size),
    lambda size: zmalloc.zaligned_alloc_usable(64, size),
    lambda size: zmalloc.Block(size, 64),
]


@pytest.mark.parametrize("fail", FAILING)
def test_without_a_handler_it_is_a_memory_error(fail: Callable[[int], object]) -> None:
    with pytest.raises(MemoryError, match=str(HUGE)):
        fail(HUGE)


@pytest.mark.parametrize("fail", FAILING)
def test_a_handler_is_told_the_size_and_may_return(fail: Callable[[int], object]) -> None:
    told: list[int] = []
    zmalloc.set_oom_handler(told.append)
    with pytest.raises(MemoryError, match=str(HUGE)):
        fail(HUGE)
    assert told == [HUGE]


@pytest.mark.parametrize("fail", FAILING)
def test_what_a_handler_raises_propagates(fail: Callable[[int], object]) -> None:
    class NoMore(Exception):
        pass

    def handler(size: int) -> None:
        raise NoMore(size)

    zmalloc.zmalloc_set_oom_handler(handler)
    with pytest.raises(NoMore) as caught:
        fail(HUGE)
    assert caught.value.args == (HUGE,)
    assert zmalloc.zmalloc(10) is not None


def test_an_overflowing_product_is_told_as_the_largest_size() -> None:
    told: list[int] = []
    zmalloc.set_oom_handler(told.append)
    with pytest.raises(MemoryError):
        zmalloc.zcalloc_num(2**40, 2**40)
    assert told == [2**64 - 1]


def test_try_calls_do_not_call_it() -> None:
    told: list[int] = []
    zmalloc.set_oom_handler(told.append)
    assert zmalloc.ztrymalloc(HUGE) is None
    assert zmalloc.ztrycalloc(HUGE) is None
    assert zmalloc.ztryrealloc(None, HUGE) is None
    assert zmalloc.ztryaligned_alloc(64, HUGE) is None
    assert zmalloc.ztryaligned_alloc_usable(64, HUGE) == (None, 0)
    for call in (zmalloc.ztrymalloc_usable, zmalloc.ztrycalloc_usable):
        pair = call(HUGE)
        assert (pair.block, pair.usable) == (None, 0)
    assert told == []


def test_none_brings_the_memory_error_back() -> None:
    zmalloc.set_oom_handler(lambda size: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        zmalloc.zmalloc(HUGE)
    zmalloc.set_oom_handler(None)
    with pytest.raises(MemoryError):
        zmalloc.zmalloc(HUGE)


def test_a_handler_that_fails_itself_is_not_called_again() -> None:
    told: list[int] = []

    def handler(size: int) -> None:
        told.append(size)
        zmalloc.zmalloc(HUGE + 1)

    zmalloc.set_oom_handler(handler)
    for _ in range(2):
        with pytest.raises(MemoryError, match=str(HUGE + 1)):
            zmalloc.zmalloc(HUGE)
    assert told == [HUGE] * 2


def test_a_handler_may_swallow_its_own_failure() -> None:
    def handler(size: int) -> None:
        with pytest.raises(MemoryError, match=str(HUGE + 1)):
            zmalloc.zmalloc(HUGE + 1)

    zmalloc.set_oom_handler(handler)
    with pytest.raises(MemoryError, match=f"^Block.*{HUGE} "):
        zmalloc.Block(HUGE)


def test_a_handler_may_allocate_free_and_go() -> None:
    kept = [zmalloc.Block(1000)]

    def handler(size: int) -> None:
        kept.pop().close()
        kept.append(zmalloc.zmalloc(10))
        zmalloc.set_oom_handler(None)

    zmalloc.set_oom_handler(handler)
    with pytest.raises(MemoryError):
        zmalloc.zmalloc(HUGE)
    assert len(kept[0]) == 10


def test_the_module_lets_go_of_an_old_handler() -> None:
    class Handler:
        def __call__(self, size: int) -> None:
            pass

    handler = Handler()
    gone = weakref.ref(handler)
    zmalloc.set_oom_handler(handler)
    del handler
    gc.collect()
    assert gone() is not None
    zmalloc.set_oom_handler(None)
    assert gone() is None


def test_a_handler_runs_in_the_thread_that_asked() -> None:
    class NoMore(Exception):
        pass

    seen: list[object] = []

    def handler(size: int) -> None:
        seen.append(threading.current_thread())
        raise NoMore

    def work() -> None:
        try:
            zmalloc.zmalloc(HUGE)
        except NoMore as error:
            seen.append(error)

    zmalloc.set_oom_handler(handler)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen[0] is thread
    assert isinstance(seen[1], NoMore)
    assert len(seen) == 2


def test_threads_do_not_take_each_other_s_failures() -> None:
    """While a handler waits in one thread, calls go on in others, and fail there on their own."""
    inside, leave = threading.Event(), threading.Event()
    told: list[int] = []

    def handler(size: int) -> None:
        told.append(size)
        if size == HUGE:
            inside.set()
            assert leave.wait(30)

    caught: list[str] = []

    def work() -> None:
        try:
            zmalloc.zmalloc(HUGE)
        except MemoryError as error:
            caught.append(str(error))

    zmalloc.set_oom_handler(handler)
    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(30)
    with zmalloc.Block(10):
        pass
    with pytest.raises(MemoryError, match=str(HUGE + 1)):
        zmalloc.zmalloc(HUGE + 1)
    assert told == [HUGE, HUGE + 1]
    leave.set()
    thread.join()
    assert caught == [f"zmalloc: can't allocate a size of {HUGE} bytes"]


@pytest.mark.parametrize("handler", ["None", "print", "lambda size: 1 / 0", "lambda size: zmalloc.zmalloc(size)"])
def test_nothing_aborts(handler: str, script: Callable) -> None:
    result = script(
        f"zmalloc.set_oom_handler({handler})\n"
        "for i in range(100):\n"
        "    try:\n"
        f"        zmalloc.zmalloc({HUGE})\n"
        "    except (MemoryError, ZeroDivisionError):\n"
        "        continue\n"
        "    raise SystemExit('no error')\n"
    )
    assert result.returncode == 0, result.stderr
    assert "zmalloc: out of memory" not in result.stderr


def test_an_exit_in_a_handler_ends_the_process_in_order(script: Callable) -> None:
    result = script(
        "import atexit, sys\n"
        "atexit.register(print, 'in order')\n"
        "zmalloc.set_oom_handler(lambda size: sys.exit(7))\n"
        f"zmalloc.zmalloc({HUGE})\n"
    )
    assert (result.returncode, result.stdout) == (7, "in order\n")
