# SPDX-License-Identifier: BSD-3-Clause
"""Random calls, with handlers, finalisers, callbacks of the garbage collection, signals and threads that make random
calls in the middle of them. A Block must hold what was last written to it, whoever wrote it, and nothing is lost.

The environment has ZMALLOC_SEED and ZMALLOC_CALLS.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import zmalloc

SEED = int(os.environ.get("ZMALLOC_SEED", "1"))
CALLS = int(os.environ.get("ZMALLOC_CALLS", "20000"))
DEEPEST = 3
MOST_BLOCKS = 12

chance = random.Random(SEED)
state = SimpleNamespace(calls=0, depth=0, refused=0, inside=0, faults=[], quiet=False)


class Planned(Exception):
    """What handlers raise."""


EXPECTED = (MemoryError, BufferError, Planned)


def is_expected(error: BaseException | None) -> bool:
    """No memory, a handler that raises, a Block that is in use, or that was closed or resized meanwhile."""
    text = str(error)
    said = "closed Block" in text or "different structures" in text or text == "the Block is closed"
    meanwhile = isinstance(error, ValueError) and said
    return meanwhile or isinstance(error, EXPECTED)


@contextmanager
def quiet() -> Iterator[None]:
    """Nobody is in the middle of what is done here, as it is noted."""
    was, state.quiet = state.quiet, True
    try:
        yield
    finally:
        state.quiet = was


class Held:
    """A Block, and the byte that it is full of; None until it is filled again."""

    def __init__(self, block: zmalloc.Block) -> None:
        self.block = block
        self.byte: int | None = None
        self.resizes = 0  # under way
        self.changes = 0  # so a call can tell that others made one in the middle of it
        self.views: list[memoryview] = []

    def fill(self) -> None:
        with quiet():
            byte = chance.randrange(256)
            self.block[:] = bytes([byte]) * len(self.block)
            self.byte = byte if self.resizes == 0 else None
            self.changes += 1

    def check(self, most: int | None = None) -> None:
        with quiet():
            found = self.block[:most]
            assert self.byte is None or found == bytes([self.byte]) * len(found)

    def is_open(self) -> bool:
        return repr(self.block) != "<zmalloc.Block, closed>"


held: list[Held] = []


def some() -> Held | None:
    return chance.choice(held) if held else None


def size() -> int:
    return chance.choice((0, 1, 20, 100, 1000, 5000, 100_000, 200_000, 2**60))


def keep(block: zmalloc.Block | None) -> None:
    if block is not None:
        one = Held(block)
        if len(held) < MOST_BLOCKS:
            held.append(one)
        one.fill()


def make() -> None:
    call = chance.choice((
        zmalloc.Block, lambda n: zmalloc.Block(size=n, alignment=64), zmalloc.zmalloc, zmalloc.zcalloc,
        zmalloc.ztrymalloc, lambda n: zmalloc.zmalloc_usable(n).block, lambda n: zmalloc.zaligned_alloc(32, n),
        lambda n: zmalloc.zrealloc(None, n),
    ))  # fmt: skip
    keep(call(size()))


def resize() -> None:
    one = some()
    if one is None or not one.is_open():
        return
    one.check()
    with quiet():
        before, byte, changes = len(one.block), one.byte, one.changes
        one.byte = None
        one.resizes += 1
    call = chance.choice((
        zmalloc.Block.resize, zmalloc.zrealloc, zmalloc.ztryrealloc, zmalloc.zrealloc_usable,
        zmalloc.ztryrealloc_usable,
    ))  # fmt: skip
    try:
        call(one.block, size())
    finally:  # done or not: a soft limit's handler may raise when it is done
        with quiet():
            one.resizes -= 1
            if one.is_open():
                one.byte = byte if one.changes == changes else None
                one.check(before)
                one.fill()


def close() -> None:
    one = some()
    if one is not None and one.is_open():
        one.check()
        chance.choice((zmalloc.Block.close, zmalloc.zfree, zmalloc.zfree_usable, zmalloc.zfree_no_tcache))(one.block)


def drop() -> None:
    if held:
        held.pop(chance.randrange(len(held)))


def view() -> None:
    one = some()
    if one is not None and one.is_open() and len(one.views) < 3:
        one.views.append(memoryview(one.block))


def release() -> None:
    one = some()
    if one is not None and one.views:
        one.views.pop().release()


def write() -> None:
    one = some()
    if one is not None and one.is_open():
        one.check()
        one.fill()


def compare() -> None:
    one, other = some(), some()
    if one is not None and other is not None:
        assert (one.block == other.block) in (True, False)


def ask() -> None:
    chance.choice((
        zmalloc.used_memory, zmalloc.smaps, zmalloc.report, zmalloc.memory_limits, zmalloc.mappings,
        zmalloc.allocator_info, zmalloc.decay if zmalloc.allocator.startswith("jemalloc") else zmalloc.purge,
    ))()  # fmt: skip


class Actor:
    """Whose call, truth and end make calls themselves."""

    def __call__(self, bytes: int) -> object:
        act_inside()
        if chance.random() < 0.2:
            raise Planned
        return chance.choice((True, False, None, self))

    def __bool__(self) -> bool:
        act_inside()
        return chance.random() < 0.5

    def __del__(self) -> None:
        act_inside()


def set_handler() -> None:
    zmalloc.set_oom_handler(chance.choice((None, Actor(), Actor(), lambda bytes: act_inside() or True)),
                            retry=chance.random() < 0.7)


def set_limit() -> None:
    zmalloc.set_limit(chance.choice((None, zmalloc.used_memory() + 1000, zmalloc.used_memory() + 150_000)))


def set_soft_limit() -> None:
    zmalloc.set_soft_limit(chance.choice((None, zmalloc.used_memory() + 1000)), Actor(), 0)


def make_garbage() -> None:
    cycle: list[object] = [Actor()]
    cycle.append(cycle)


def collect() -> None:
    gc.collect(chance.randrange(3))


def raise_signal() -> None:
    signal.raise_signal(signal.SIGUSR1)


def in_a_thread() -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


ACTIONS: list[Callable[[], None]] = [
    *[make] * 6, *[resize] * 10, *[close] * 3, *[drop] * 2, *[view] * 2, *[release] * 3, *[write] * 3, compare, ask,
    *[set_handler] * 2, *[set_limit] * 2, set_soft_limit, make_garbage, collect, raise_signal, in_a_thread,
]  # fmt: skip


def act() -> None:
    """One random call; what it may raise is no fault."""
    state.calls += 1
    state.depth += 1
    try:
        chance.choice(ACTIONS)()
    except BaseException as error:
        if not is_expected(error):
            state.faults.append(error)
            raise
        state.refused += 1
    finally:
        state.depth -= 1


def act_inside() -> None:
    """In the middle of another call."""
    if state.depth < DEEPEST and not state.quiet:
        state.inside += 1
        for _ in range(chance.randrange(3)):
            act()


def collecting(phase: str, info: dict[str, int]) -> None:
    for thing in gc.get_objects(0):
        if type(thing) in (list, tuple):
            assert len(gc.get_referents(thing)) == len(thing), "half-made"
    if chance.random() < 0.05:
        act_inside()


def unraisable(problem: sys.UnraisableHookArgs) -> None:
    if not is_expected(problem.exc_value):
        state.faults.append(problem.exc_value)


def check_all() -> None:
    for one in held:
        if one.is_open():
            one.check()


def main() -> int:
    faulthandler.enable()
    sys.unraisablehook = unraisable
    threading.excepthook = lambda arguments: state.faults.append(arguments.exc_value)
    signal.signal(signal.SIGUSR1, lambda number, frame: act_inside())
    gc.collect()
    before = zmalloc.used_memory()
    gc.callbacks.append(collecting)
    gc.set_threshold(50)
    while state.calls < CALLS and not state.faults:
        act()
    gc.callbacks.clear()
    state.depth = DEEPEST  # finalisers have nothing more to do
    check_all()
    held.clear()
    zmalloc.set_oom_handler(None)
    zmalloc.set_limit(None)
    zmalloc.set_soft_limit(None)
    gc.collect()
    if state.faults:
        raise SystemExit(f"seed {SEED}, call {state.calls}: {state.faults[0]!r}")
    assert zmalloc.used_memory() == before, (before, zmalloc.used_memory())
    print(f"figure: {state.calls} random calls from Python")
    print(f"figure: {state.inside} times in the middle of another call of Python's")
    return 0


if __name__ == "__main__":
    sys.exit(main())
