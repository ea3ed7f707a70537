# SPDX-License-Identifier: BSD-3-Clause
"""Python code that runs in the middle of a call finds nothing half done, and can't take away what the call uses.

Such code is a handler, a finaliser, a callback of the garbage collection or another thread.
"""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterator

import pytest
import zmalloc

Block = zmalloc.Block

RESIZES = {
    "resize": Block.resize,
    "zrealloc": zmalloc.zrealloc,
    "zrealloc_usable": zmalloc.zrealloc_usable,
}

# What takes a Block's memory, moves it, lends it out or hands it on.
USES: dict[str, Callable[[Block], object]] = {
    "close": Block.close,
    "resize": lambda block: block.resize(10),
    "exit": lambda block: block.__exit__(None, None, None),
    "view": memoryview,
    "bytes": bytes,
    "index": lambda block: block[0],
    "set": lambda block: block.__setitem__(0, 1),
    "slice": lambda block: block[1:3],
    "iterate": iter,
    "zfree": zmalloc.zfree,
    "zfree_usable": zmalloc.zfree_usable,
    "zfree_with_size": lambda block: zmalloc.zfree_with_size(block, len(block)),
    "zfree_no_tcache": zmalloc.zfree_no_tcache,
    "zrealloc": lambda block: zmalloc.zrealloc(block, 10),
    "ztryrealloc": lambda block: zmalloc.ztryrealloc(block, 10),
    "zrealloc to nothing": lambda block: zmalloc.zrealloc(block, 0),
    "extend_to_usable": lambda block: zmalloc.extend_to_usable(block, 1000),
    "zmadvise_dontneed": zmalloc.zmadvise_dontneed,
    "zmalloc_size": zmalloc.zmalloc_size,
}
TEXT = bytes(range(250)) * 4


@pytest.fixture
def block() -> Iterator[Block]:
    block = Block(1000)
    block[:] = TEXT
    zmalloc.set_limit(zmalloc.used_memory() + 1000)
    yield block
    zmalloc.set_limit(None)
    block.close()


def refused(use: Callable[[Block], object], block: Block) -> None:
    with pytest.raises(BufferError, match="being resized"):
        use(block)


@pytest.mark.parametrize("retry", [False, True])
@pytest.mark.parametrize("resize", RESIZES.values(), ids=RESIZES)
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_handler_can_not_use_what_is_being_resized(
    use: Callable, resize: Callable, retry: bool, block: Block
) -> None:
    asked: list[int] = []

    def handler(size: int) -> bool:
        asked.append(size)
        refused(use, block)
        if len(asked) == 3:
            zmalloc.set_limit(None)
        return True

    zmalloc.set_oom_handler(handler, retry=retry)
    if retry:
        resize(block, 5000)
        assert bytes(block[:1000]) == TEXT
    else:
        with pytest.raises(MemoryError):
            resize(block, 5000)
        assert bytes(block) == TEXT
    assert asked == [5000] * (3 if retry else 1)
    zmalloc.set_limit(None)
    use(block)  # as ever


@pytest.mark.parametrize("retry", [False, True])
def test_what_a_handler_is_refused_reaches_the_call_that_asked(retry: bool, block: Block) -> None:
    zmalloc.set_oom_handler(lambda size: block.close(), retry=retry)
    for resize in RESIZES.values():
        with pytest.raises(BufferError, match="being resized"):
            resize(block, 5000)
        assert bytes(block) == TEXT


def test_nor_can_another_thread(block: Block) -> None:
    errors: list[type[BaseException]] = []

    def work() -> None:
        for use in USES.values():
            try:
                use(block)
            except BufferError as error:
                errors.append(type(error))

    def handler(size: int) -> bool:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        zmalloc.set_limit(None)
        return True

    zmalloc.set_oom_handler(handler, retry=True)
    block.resize(5000)
    assert errors == [BufferError] * len(USES)
    assert bytes(block[:1000]) == TEXT


def test_what_reads_nothing_still_answers(block: Block) -> None:
    def handler(size: int) -> None:
        assert len(block) == 1000
        assert block.usable >= 1000
        assert repr(block) == "<zmalloc.Block, 1000 bytes>"
        assert block == TEXT
        for take in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="can't be pickled or copied"):
                take(block)

    zmalloc.set_oom_handler(handler)
    with pytest.raises(MemoryError):
        block.resize(5000)


def test_a_failed_request_in_a_handler_leaves_the_first_its_own(block: Block) -> None:
    other = Block(100)

    def handler(size: int) -> bool:
        with pytest.raises(MemoryError, match=r"^resize: can't allocate a size of 70000 bytes"):
            other.resize(70_000)
        refused(Block.close, block)
        return False

    used = zmalloc.used_memory()
    zmalloc.set_oom_handler(handler, retry=True)
    with pytest.raises(MemoryError, match=f"^zrealloc: can't allocate a size of 5000 bytes.* with {used} in use$"):
        zmalloc.zrealloc(block, 5000)
    other.close()


class Finalised:
    """A handler that runs Python code when it goes."""

    def __init__(self, at_end: Callable[[], object]) -> None:
        self.at_end = at_end

    def __call__(self, size: int) -> bool:
        return False

    def __del__(self) -> None:
        self.at_end()


@pytest.mark.parametrize("old_retry", [False, True])
@pytest.mark.parametrize("new_retry", [False, True])
def test_a_handler_is_changed_in_one_step(old_retry: bool, new_retry: bool, block: Block) -> None:
    """The old one's finaliser finds the new one in its place, with its kind."""
    told: list[int] = []

    def new(size: int) -> bool:
        told.append(size)
        refused(Block.close, block)
        return True

    def at_end() -> None:
        with pytest.raises(MemoryError):
            block.resize(2**60)

    zmalloc.set_oom_handler(Finalised(at_end), retry=old_retry)
    zmalloc.set_oom_handler(new, retry=new_retry)
    assert told == [2**60] * (zmalloc.ZMALLOC_MOST_RETRIES + 1 if new_retry else 1)
    assert bytes(block) == TEXT


def test_a_soft_limit_s_handler_too() -> None:
    told: list[int] = []

    def at_end() -> None:
        Block(200_000).close()

    zmalloc.set_soft_limit(zmalloc.used_memory() + 100_000, Finalised(at_end))
    zmalloc.set_soft_limit(zmalloc.used_memory() + 100_000, told.append)
    assert len(told) == 1


def test_a_handler_may_change_handlers() -> None:
    """Whether C tries again is for the handler to say that was asked, and not for the one that it sets."""
    told: list[str] = []

    def first(size: int) -> bool:
        told.append("first")
        zmalloc.set_oom_handler(second, retry=True)
        return True

    def second(size: int) -> bool:
        told.append("second")
        zmalloc.set_oom_handler(None)
        return True

    zmalloc.set_oom_handler(first)
    for expected in (["first"], ["first", "second"], ["first", "second"]):
        with pytest.raises(MemoryError):
            Block(2**60)
        assert told == expected


def test_an_answer_s_truth_may_be_code() -> None:
    class Answer:
        def __bool__(self) -> bool:
            with pytest.raises(MemoryError):
                Block(2**61)
            raise KeyError

    zmalloc.set_oom_handler(lambda size: Answer(), retry=True)
    with pytest.raises(KeyError):
        Block(2**60)


# A callback of the garbage collection that looks for containers with empty places, at every collection there is.
LOOK = """
import gc, zmalloc
empty = []

def look(phase, info):
    for thing in gc.get_objects():
        if type(thing) in (list, tuple) or isinstance(thing, tuple):
            if len(gc.get_referents(thing)) < len(thing):
                empty.append(type(thing))

gc.callbacks.append(look)
gc.set_threshold(1)
"""

CALLS = [
    "zmalloc.mappings()",
    "zmalloc.zmalloc_mappings(-1)",
    "zmalloc.smaps()",
    "zmalloc.report(walk=True)",
    "zmalloc.memory_limits()",
    "zmalloc.allocator_info()",
    "zmalloc.zmalloc_usable(100)",
    "zmalloc.Block(size=100, alignment=64)",
    "zmalloc.Block(100, [])",
    "zmalloc.smaps('nothing')",
]


@pytest.mark.parametrize("call", CALLS)
def test_no_collection_sees_what_is_half_made(call: str, script: Callable) -> None:
    result = script(
        LOOK + f"for _ in range(5):\n    try: {call}\n    except (TypeError, OSError): pass\n"
        "gc.disable()\nassert not empty, empty\n"
    )
    assert result.returncode == 0, result.stderr


def test_a_list_of_mappings_is_collected_like_any(script: Callable) -> None:
    result = script("import gc\nassert gc.is_tracked(zmalloc.mappings())\n")
    assert result.returncode == 0, result.stderr
