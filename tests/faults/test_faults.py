# SPDX-License-Identifier: BSD-3-Clause
"""Fault loops for the Python module: calls of the system, of the allocator and of the interpreter, failed in turn.

The module here is the one that scripts import, but for calls that fail when they are told to. After every fault there
is an exception or a right result, and nothing is lost.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import math
import operator
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import partial

import pytest

_testcapi = pytest.importorskip("_testcapi", reason="this Python can't have its own allocations fail")

MODULE = os.environ["ZMALLOC_FAULTY_MODULE"]
HUGE = 2**62

# Before the package looks for its own.
_spec = importlib.util.spec_from_file_location("zmalloc._zmalloc", MODULE)
sys.modules["zmalloc._zmalloc"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["zmalloc._zmalloc"])

import zmalloc  # noqa: E402

faults = ctypes.PyDLL(MODULE)
faults.faults_name.restype = ctypes.c_char_p
NAMES = [faults.faults_name(i).decode() for i in range(faults.faults_count())]

# A fault's errors may come out as these and no others.
ERRORS = (MemoryError, OSError, ValueError)

injected = dict.fromkeys([*NAMES, "allocation of Python's"], 0)

# The interpreter goes on without some of its allocations: after so many without an error there are no more.
ENOUGH = 8
MOST_ALLOCATIONS = 20_000

Operation = Callable[[], object]
Call = tuple[Callable, tuple]


@pytest.fixture(scope="module", autouse=True)
def other() -> Iterator[None]:
    """A process with few mappings, so that there are few calls to fail."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        others.append(process.pid)
        yield
        process.kill()


others: list[int] = []


def resize() -> None:
    block = zmalloc.Block(100)
    block[:] = b"x" * 100
    try:
        block.resize(5000)
    finally:
        assert bytes(block)[:100] == b"x" * 100


def realloc(call: Callable, size: int) -> Operation:
    def run() -> None:
        block = zmalloc.zmalloc(100)
        block[:] = b"y" * 100
        try:
            call(block, size)
        finally:
            assert bytes(block)[:50] == b"y" * 50

    return run


def with_block(call: Callable, *arguments: object) -> Operation:
    return lambda: call(zmalloc.Block(100), *arguments)


def background() -> None:
    try:
        zmalloc.zmalloc_background_thread(True)
    finally:
        zmalloc.set_jemalloc_bg_thread(False)


def track() -> None:
    with zmalloc.track() as scope:
        zmalloc.Block(100)
    assert scope.kept == 0


def handle(handler: Callable | None) -> Operation:
    def run() -> None:
        zmalloc.set_oom_handler(handler)
        try:
            zmalloc.zmalloc(HUGE)
        except MemoryError:
            pass
        finally:
            zmalloc.set_oom_handler(None)

    return run


def use_block() -> None:
    with zmalloc.Block(50) as block:
        block[3] = 7
        block[4:6] = b"ab"
        assert block[3:6] == b"\7ab"
        assert sum(block) == 7 + ord("a") + ord("b")
        assert block == bytes(block)
        assert block.usable >= len(block)
        repr(block)
        memoryview(block).release()


def publish() -> None:
    try:
        zmalloc.zmalloc_publish(True, 1000)
        zmalloc.zmalloc_published()
    finally:
        zmalloc.zmalloc_publish(False, 0)


OPERATIONS: dict[str, Operation] = {
    "zmalloc": lambda: zmalloc.zmalloc(100),
    "ztrymalloc": lambda: zmalloc.ztrymalloc(100),
    "zmalloc_usable": lambda: zmalloc.zmalloc_usable(100),
    "ztrymalloc_usable": lambda: zmalloc.ztrymalloc_usable(100),
    "zmalloc_no_tcache": lambda: zmalloc.zmalloc_no_tcache(100),
    "zcalloc": lambda: zmalloc.zcalloc(100),
    "zcalloc_num": lambda: zmalloc.zcalloc_num(10, 10),
    "ztrycalloc": lambda: zmalloc.ztrycalloc(100),
    "zcalloc_usable": lambda: zmalloc.zcalloc_usable(100),
    "ztrycalloc_usable": lambda: zmalloc.ztrycalloc_usable(100),
    "zrealloc": realloc(zmalloc.zrealloc, 5000),
    "ztryrealloc": realloc(zmalloc.ztryrealloc, 5000),
    "zrealloc_usable": realloc(zmalloc.zrealloc_usable, 50),
    "ztryrealloc_usable": realloc(zmalloc.ztryrealloc_usable, 5000),
    "zaligned_alloc": lambda: zmalloc.zaligned_alloc(64, 100),
    "ztryaligned_alloc": lambda: zmalloc.ztryaligned_alloc(64, 100),
    "zaligned_alloc_usable": lambda: zmalloc.zaligned_alloc_usable(64, 100),
    "ztryaligned_alloc_usable": lambda: zmalloc.ztryaligned_alloc_usable(64, 100),
    "zstrdup": lambda: zmalloc.zstrdup("a string"),
    "zfree": with_block(zmalloc.zfree),
    "zfree_usable": with_block(zmalloc.zfree_usable),
    "zfree_with_size": with_block(zmalloc.zfree_with_size, 100),
    "zfree_no_tcache": with_block(zmalloc.zfree_no_tcache),
    "zlibc_free": lambda: zmalloc.zlibc_free(None),
    "zmalloc_size": with_block(zmalloc.zmalloc_size),
    "zmalloc_usable_size": with_block(zmalloc.zmalloc_usable_size),
    "zmalloc_good_size": lambda: zmalloc.zmalloc_good_size(100),
    "extend_to_usable": with_block(zmalloc.extend_to_usable, 100),
    "zmalloc_used_memory": zmalloc.zmalloc_used_memory,
    "zmalloc_total_allocated": zmalloc.zmalloc_total_allocated,
    "zmalloc_total_freed": zmalloc.zmalloc_total_freed,
    "zmalloc_thread_allocated": zmalloc.zmalloc_thread_allocated,
    "zmalloc_thread_freed": zmalloc.zmalloc_thread_freed,
    "zmalloc_peak_memory": zmalloc.zmalloc_peak_memory,
    "zmalloc_reset_peak_memory": zmalloc.zmalloc_reset_peak_memory,
    "zmalloc_set_oom_handler": handle(None),
    "zmalloc_set_oom_retry_handler": lambda: zmalloc.zmalloc_set_oom_retry_handler(None),
    "zmalloc_set_limit": lambda: zmalloc.zmalloc_set_limit(0),
    "zmalloc_limit": zmalloc.zmalloc_limit,
    "zmalloc_set_soft_limit": lambda: zmalloc.zmalloc_set_soft_limit(0, 0, None),
    "zmalloc_soft_limit": zmalloc.zmalloc_soft_limit,
    "zmalloc_get_rss": zmalloc.zmalloc_get_rss,
    "zmalloc_rss": zmalloc.zmalloc_rss,
    "zmalloc_process_rss": lambda: zmalloc.zmalloc_process_rss(others[0]),
    "zmalloc_get_private_dirty": zmalloc.zmalloc_get_private_dirty,
    "zmalloc_private_dirty": zmalloc.zmalloc_private_dirty,
    "zmalloc_get_smap_bytes_by_field": lambda: zmalloc.zmalloc_get_smap_bytes_by_field("Rss"),
    "zmalloc_smap_bytes_by_field": lambda: zmalloc.zmalloc_smap_bytes_by_field("Rss"),
    "zmalloc_smaps": zmalloc.zmalloc_smaps,
    "zmalloc_mappings": lambda: zmalloc.zmalloc_mappings(others[0]),
    "zmalloc_get_memory_size": zmalloc.zmalloc_get_memory_size,
    "zmalloc_memory_size": zmalloc.zmalloc_memory_size,
    "zmalloc_memory_limits": zmalloc.zmalloc_memory_limits,
    "zmalloc_memory_limit": zmalloc.zmalloc_memory_limit,
    "zmalloc_thp": zmalloc.zmalloc_thp,
    "zmalloc_disable_thp": lambda: zmalloc.zmalloc_disable_thp(False),
    "get_proc_stat_ll": lambda: zmalloc.get_proc_stat_ll(1),
    "zmadvise_dontneed": lambda: zmalloc.zmadvise_dontneed(zmalloc.Block(50000)),
    "zmalloc_allocator": zmalloc.zmalloc_allocator,
    "zmalloc_get_allocator_info": zmalloc.zmalloc_get_allocator_info,
    "zmalloc_allocator_info": zmalloc.zmalloc_allocator_info,
    "set_jemalloc_bg_thread": lambda: zmalloc.set_jemalloc_bg_thread(False),
    "zmalloc_background_thread": background,
    "zmalloc_background_thread_enabled": zmalloc.zmalloc_background_thread_enabled,
    "zmalloc_decay": zmalloc.zmalloc_decay,
    "zmalloc_set_decay": lambda: zmalloc.zmalloc_set_decay(10000, 0),
    "zmalloc_defrag_hint": with_block(zmalloc.zmalloc_defrag_hint),
    "zmalloc_defrag_hints": lambda: zmalloc.zmalloc_defrag_hints([zmalloc.Block(100), None]),
    "zmalloc_defrag": lambda: zmalloc.zmalloc_defrag([zmalloc.Block(100), None], 0, 0),
    "jemalloc_purge": zmalloc.jemalloc_purge,
    "zmalloc_purge": zmalloc.zmalloc_purge,
    "zmalloc_report": lambda: zmalloc.zmalloc_report(True),
    "zmalloc_publish": publish,
    "zmalloc_published": zmalloc.zmalloc_published,
    # What is not a C call of its own.
    "Block": use_block,
    "Block, aligned": lambda: zmalloc.Block(100, alignment=256),
    "Block.resize": resize,
    "an OOM handler": handle(lambda size: str(size)),
    "track": track,
    "smaps": zmalloc.smaps,
    "thp": zmalloc.thp,
}


@pytest.fixture(autouse=True)
def loses_nothing() -> Iterator[None]:
    before = zmalloc.used_memory()
    yield
    gc.collect()
    assert zmalloc.used_memory() == before


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def survive(run: Operation, arm: Callable[[], object], calm: Callable[[], int]) -> bool:
    """Whether the operation met the fault. If so, it gave a result or one of the errors; else it is as ever."""
    error = None
    arm()
    try:
        run()
    except BaseException as caught:  # noqa: BLE001 (judged below, where memory is to be had)
        error = caught
    met = calm()
    if error is not None and not isinstance(error, ERRORS):
        raise error
    del error  # or it and this frame would keep each other, and the blocks of those below
    return met > 0


def unarmed(run: Operation) -> type[BaseException] | None:
    try:
        run()
    except OSError as error:
        return type(error)
    return None


def test_every_call_is_tried() -> None:
    calls = {name for name in dir(sys.modules["zmalloc._zmalloc"]) if callable(getattr(zmalloc, name, None))}
    types = {name for name in calls if isinstance(getattr(zmalloc, name), type)}
    assert calls - types - set(OPERATIONS) == {name for name in calls if name.startswith("SWIG")}


@pytest.mark.parametrize("name", OPERATIONS)
def test_calls_of_the_library_s(name: str) -> None:
    run = OPERATIONS[name]
    unarmed(run)
    before, files = zmalloc.used_memory(), descriptors()
    for fault, fault_name in enumerate(NAMES):
        for persistent in (0, 1):
            nth = 0
            met = True
            while met:
                nth += 1
                blocks = faults.faults_blocks()
                arm = lambda: faults.faults_arm(fault, nth, persistent)  # noqa: B023, E731
                met = survive(run, arm, faults.faults_disarm)
                injected[fault_name] += met
                assert zmalloc.used_memory() == before, (fault_name, nth, persistent)
                assert faults.faults_blocks() == blocks, (fault_name, nth, persistent)
            assert descriptors() == files, (fault_name, persistent)


def meets_no_memory(run: Operation, nth: int, persistent: bool) -> bool:
    """Whether the operation fails as it should where the interpreter's nth allocation does."""
    error = None
    calm = _testcapi.remove_mem_hooks
    _testcapi.set_nomemory(nth - 1, 0 if persistent else nth)
    try:
        run()
    except BaseException as caught:  # noqa: BLE001 (judged below, where memory is to be had)
        error = caught
    calm()
    failed = isinstance(error, MemoryError)
    if error is not None and not failed:
        raise error
    del error  # or it and this frame would keep each other, and the blocks of those below
    return failed


C_CALLS = [name for name in OPERATIONS if hasattr(sys.modules["zmalloc._zmalloc"], name) and name != "Block"]


@pytest.mark.parametrize("name", C_CALLS)
def test_allocations_of_the_interpreter_s(name: str) -> None:
    """Of C calls. What the interpreter does without memory between several lines of Python is its own affair."""
    run = OPERATIONS[name]
    as_ever = unarmed(run)
    if as_ever is not None:
        return  # an error as ever: this allocator can't do that
    before, files = zmalloc.used_memory(), descriptors()
    for persistent in (False, True):
        nth = 0
        in_vain = 0
        while in_vain < ENOUGH:
            nth += 1
            assert nth < MOST_ALLOCATIONS
            failed = meets_no_memory(run, nth, persistent)
            injected["allocation of Python's"] += failed
            in_vain = 0 if failed else in_vain + 1
            assert zmalloc.used_memory() == before, (nth, persistent)
        assert descriptors() == files


def handled(block: zmalloc.Block) -> Call:
    zmalloc.set_oom_handler(str)
    return block.resize, (HUGE,)


def retried(block: zmalloc.Block) -> Call:
    zmalloc.set_oom_handler([].count, retry=True)
    return block.resize, (HUGE,)


# One call in C each, of what is not a C call of the library's, or meets what the good arguments above do not.
SINGLE: dict[str, Callable[[zmalloc.Block], Call]] = {
    "Block": lambda _: (zmalloc.Block, (100,)),
    "Block, aligned": lambda _: (partial(zmalloc.Block, 100, alignment=256), ()),
    "Block, too large": lambda _: (zmalloc.Block, (HUGE,)),
    "Block, negative": lambda _: (zmalloc.Block, (-1,)),
    "resize": lambda block: (block.resize, (5000,)),
    "handled": handled,
    "retried": retried,
    "get": lambda block: (operator.getitem, (block, 3)),
    "get a slice": lambda block: (operator.getitem, (block, slice(4, 20))),
    "set": lambda block: (operator.setitem, (block, 3, 7)),
    "set a slice": lambda block: (operator.setitem, (block, slice(4, 6), b"ab")),
    "set out of range": lambda block: (operator.setitem, (block, 1000, 7)),
    "delete": lambda block: (operator.delitem, (block, 3)),
    "list": lambda block: (list, (block,)),
    "bytes": lambda block: (bytes, (block,)),
    "view": lambda block: (memoryview, (block,)),
    "equal": lambda block: (operator.eq, (block, bytes(100))),
    "equal, no buffer": lambda block: (operator.eq, (block, memoryview(bytes(200))[::2])),
    "repr": lambda block: (repr, (block,)),
    "usable": lambda block: (getattr, (block, "usable")),
    "enter": lambda block: (block.__enter__, ()),
    "close": lambda block: (block.close, ()),
    "weak reference": lambda block: (weakref.ref, (block,)),
    "pickle": lambda block: (block.__reduce__, ()),
    "a text to encode": lambda _: (zmalloc.zstrdup, (f"\u2030{os.getpid()}",)),
    "a surrogate": lambda _: (zmalloc.zstrdup, (f"\ud800{os.getpid()}",)),
    "a field to encode": lambda _: (zmalloc.zmalloc_smap_bytes_by_field, (f"\u2030{os.getpid()}",)),
    "a bad pid": lambda _: (zmalloc.zmalloc_process_rss, (HUGE * 4,)),
    "not supported": lambda _: (zmalloc.zmalloc_set_decay, (10000, 0)),
    "not supported, asked": lambda _: (zmalloc.zmalloc_background_thread, (True,)),
    "zmalloc_smaps": lambda _: (zmalloc.zmalloc_smaps, (others[0],)),
    "track": lambda _: (zmalloc.track, ()),
    "thp": lambda _: (zmalloc.thp, ()),
}


def outcome(make: Callable[[zmalloc.Block], Call], nth: int, persistent: bool) -> tuple[type, ...]:
    """The type of the result, or that of the error, if the interpreter's nth allocation fails; 0: none fails."""
    call, arguments = make(zmalloc.Block(100))
    error = result = None
    arm, calm = _testcapi.set_nomemory, _testcapi.remove_mem_hooks
    start, stop = (nth - 1, 0 if persistent else nth) if nth > 0 else (MOST_ALLOCATIONS, 0)
    try:
        arm(start, stop)
        result = call(*arguments)
        calm()
    except BaseException as caught:  # noqa: BLE001 (judged by the caller)
        calm()
        error = caught
    ended = type(result), type(error)
    del error  # or it and this frame would keep each other
    zmalloc.set_oom_handler(None)
    return ended


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("persistent", [False, True])
def test_allocations_of_one_call(name: str, persistent: bool) -> None:
    """Of one in C: where one fails in a Python function, whose frame object then can't be made, Python itself may say
    SystemError, as it does after os.close."""
    as_ever = outcome(SINGLE[name], 0, persistent)
    before, files = zmalloc.used_memory(), descriptors()
    nth = 0
    in_vain = 0
    while in_vain < ENOUGH:
        nth += 1
        ended = outcome(SINGLE[name], nth, persistent)
        assert ended in (as_ever, (type(None), MemoryError)), nth
        injected["allocation of Python's"] += ended != as_ever
        in_vain = in_vain + 1 if ended == as_ever else 0
        assert zmalloc.used_memory() == before, nth
    assert descriptors() == files


def test_no_memory_is_no_bad_text() -> None:
    """The first allocation is that of the encoded text."""
    assert outcome(SINGLE["a text to encode"], 1, False) == (type(None), MemoryError)


def test_figures(capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():
        print()
        for name, count in injected.items():
            print(f"figure: {count} faults injected into Python: {name}")
        print(f"figure: {sum(injected.values())} faults injected into Python")
    assert math.prod(count for name, count in injected.items() if name.startswith(("openat", "read", "alloc"))) > 0
