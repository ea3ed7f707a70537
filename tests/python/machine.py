# SPDX-License-Identifier: BSD-3-Clause
"""A model of Blocks and of the account, and the actions that a state machine may take on both.

test_machine.py has hypothesis choose the actions. Run by itself, as under valgrind, it takes them by chance:

    machine.py STEPS SEED
"""

from __future__ import annotations

import gc
import random
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

import zmalloc

HUGE = 2**62
MOST_BLOCKS = 12

# What an argument of an action may be, by its name.
ARGUMENTS: dict[str, list] = {
    "which": list(range(MOST_BLOCKS)),
    "size": [0, 1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 64, 100, 128, 200, 257, 500, 1000, 1025, 3000, 5000,
             20_000],
    "alignment": [1, 2, 8, 16, 32, 64, 256, 4096],
    "index": [*range(-40, 40), 1000, -1000, 2**70, -(2**70)],
    "stop": [None, *range(-20, 60)],
    "step": [None, 1, 1, 2, 3, -1, -2],
    "byte": list(range(256)),
    "way": list(range(24)),
}


class NoMore(Exception):
    """What a handler raises."""


class Entry:
    """A Block, and what it must be: its bytes, what it costs, the views on it."""

    def __init__(self, block: zmalloc.Block, length: int) -> None:
        self.block: zmalloc.Block | None = block
        self.reference = weakref.ref(block)
        self.data = bytearray(length)
        self.cost = zmalloc.zmalloc_size(block)
        self.closed = False
        self.views: list[memoryview] = []


class Refused:
    """Not by contextlib, whose generator keeps the error, its frames and their Blocks in a cycle from 3.12 on."""

    def __init__(self, errors: tuple[type[BaseException], ...]) -> None:
        self.errors = errors

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> bool:
        if kind is None:
            raise AssertionError(f"not refused with {self.errors}")
        return issubclass(kind, self.errors)


def refused(*errors: type[BaseException]) -> Refused:
    """What is inside must end with one of these exceptions."""
    return Refused(errors)


def in_thread(work: Callable[[], object]) -> None:
    """Has another thread do the work, and ends it."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


MAKERS: list[tuple[Callable[[int], zmalloc.Block], bool]] = [  # and whether the bytes must be zero
    (zmalloc.Block, True),
    (lambda size: zmalloc.Block(size=size, alignment=None), True),
    (zmalloc.zmalloc, False),
    (zmalloc.ztrymalloc, False),
    (lambda size: zmalloc.zmalloc_usable(size).block, False),
    (lambda size: zmalloc.ztrymalloc_usable(size)[0], False),
    (zmalloc.zmalloc_no_tcache, False),
    (zmalloc.zcalloc, True),
    (zmalloc.ztrycalloc, True),
    (lambda size: zmalloc.zcalloc_usable(size).block, True),
    (lambda size: zmalloc.ztrycalloc_usable(size).block, True),
    (lambda size: zmalloc.zcalloc_num(size, 1), True),
    (lambda size: zmalloc.zcalloc_num(1, size), True),
    (lambda size: zmalloc.zrealloc(None, size), False),
    (lambda size: zmalloc.ztryrealloc(None, size), False),
    (lambda size: zmalloc.zrealloc_usable(None, size).block, False),
    (lambda size: zmalloc.ztryrealloc_usable(None, size).block, False),
]

ALIGNED_MAKERS: list[tuple[Callable[[int, int], zmalloc.Block], bool]] = [
    (lambda alignment, size: zmalloc.Block(size, alignment), True),
    (zmalloc.zaligned_alloc, False),
    (zmalloc.ztryaligned_alloc, False),
    (lambda alignment, size: zmalloc.zaligned_alloc_usable(alignment, size).block, False),
    (lambda alignment, size: zmalloc.ztryaligned_alloc_usable(alignment, size).block, False),
]

MOVERS: list[Callable[[zmalloc.Block, int], zmalloc.Block | None]] = [
    zmalloc.zrealloc,
    zmalloc.ztryrealloc,
    lambda block, size: zmalloc.zrealloc_usable(block, size).block,
    lambda block, size: zmalloc.ztryrealloc_usable(block, size).block,
]

FREERS: list[Callable[[zmalloc.Block], object]] = [
    zmalloc.Block.close,
    lambda block: block.__exit__(None, None, None),
    zmalloc.zfree,
    zmalloc.zfree_usable,
    zmalloc.zfree_no_tcache,
    lambda block: zmalloc.zfree_with_size(block, block.usable),
]

# What asks a closed Block for something, or would move or free one.
USES: list[Callable[[zmalloc.Block], object]] = [
    len, bytes, memoryview, iter, bool,
    lambda b: b[0], lambda b: b[:], lambda b: b.__setitem__(0, 1), lambda b: b.usable, lambda b: b.__enter__(),
    lambda b: b.resize(1), zmalloc.zmalloc_size, zmalloc.zmalloc_usable_size, zmalloc.zmadvise_dontneed,
    lambda b: zmalloc.extend_to_usable(b, 0), *(lambda b, m=move: m(b, 10) for move in MOVERS), *FREERS[2:],
]  # fmt: skip

# Requests that nobody can serve; what may call the handler, and what may not.
LOUD: list[Callable[[zmalloc.Block | None], object]] = [
    lambda b: zmalloc.Block(HUGE), lambda b: zmalloc.Block(HUGE, 64), lambda b: zmalloc.zmalloc(HUGE),
    lambda b: zmalloc.zmalloc_usable(HUGE), lambda b: zmalloc.zmalloc_no_tcache(HUGE),
    lambda b: zmalloc.zcalloc(HUGE), lambda b: zmalloc.zcalloc_usable(HUGE),
    lambda b: zmalloc.zcalloc_num(2, HUGE // 2),
    lambda b: zmalloc.zaligned_alloc(64, HUGE), lambda b: zmalloc.zaligned_alloc_usable(64, HUGE),
    lambda b: zmalloc.zrealloc(b, HUGE), lambda b: zmalloc.zrealloc_usable(b, HUGE),
    lambda b: b.resize(HUGE) if b is not None else zmalloc.Block(HUGE),
]  # fmt: skip
QUIET: list[Callable[[zmalloc.Block | None], object]] = [
    lambda b: zmalloc.ztrymalloc(HUGE), lambda b: zmalloc.ztrymalloc_usable(HUGE).block,
    lambda b: zmalloc.ztrycalloc(HUGE), lambda b: zmalloc.ztrycalloc_usable(HUGE).block,
    lambda b: zmalloc.ztryaligned_alloc(64, HUGE), lambda b: zmalloc.ztryaligned_alloc_usable(64, HUGE).block,
    lambda b: zmalloc.ztryrealloc(b, HUGE), lambda b: zmalloc.ztryrealloc_usable(b, HUGE).block,
]  # fmt: skip


class Model:
    """The Blocks that there are, and the figures that follow from them."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.gone: list[Entry] = []  # let go, but kept by views
        self.base = zmalloc.used_memory()
        self.allocated = self.freed = 0  # by this thread
        self.others_allocated = self.others_freed = 0
        self.thread_start = zmalloc.zmalloc_thread_allocated(), zmalloc.zmalloc_thread_freed()
        self.total_start = zmalloc.zmalloc_total_allocated(), zmalloc.zmalloc_total_freed()
        self.scopes: list[tuple[zmalloc.track, bool, int, int]] = []
        self.handler_calls: list[int] = []
        self.handler_kind = 0
        self.victim: Entry | None = None

    # Helpers.

    def pick(self, which: int) -> Entry | None:
        return self.entries[which % len(self.entries)] if self.entries else None

    def pick_open(self, which: int) -> Entry | None:
        entries = [entry for entry in self.entries if not entry.closed]
        return entries[which % len(entries)] if entries else None

    def add(self, block: zmalloc.Block, length: int, zero: bool, other_thread: bool = False) -> None:
        assert len(block) == length <= block.usable
        if zero:
            assert bytes(block) == bytes(length)
        entry = Entry(block, length)
        entry.data[:] = block[:] = random.Random(length + len(self.entries)).randbytes(length)
        if other_thread:
            self.others_allocated += entry.cost
        else:
            self.allocated += entry.cost
        self.entries.append(entry)
        if len(self.entries) > MOST_BLOCKS:
            self.let_go(self.entries[0])

    def note_freed(self, entry: Entry) -> None:
        self.freed += entry.cost
        entry.cost = 0
        entry.closed = True

    def note_moved(self, entry: Entry, length: int) -> None:
        """After a resize or a realloc to this length: bytes that are new are whatever they are."""
        assert entry.block is not None
        self.freed += entry.cost
        entry.cost = zmalloc.zmalloc_size(entry.block)
        self.allocated += entry.cost
        self.note_length(entry, length)

    def note_length(self, entry: Entry, length: int) -> None:
        assert entry.block is not None
        content = bytes(entry.block)
        same = min(len(entry.data), length)
        assert len(content) == length
        assert content[:same] == entry.data[:same]
        entry.data = bytearray(content)

    def let_go(self, entry: Entry) -> None:
        """The last reference from here; a view keeps it alive."""
        self.entries.remove(entry)
        entry.block = None
        if entry.views:
            self.gone.append(entry)
            assert entry.reference() is not None
        else:
            self.is_gone(entry)

    def is_gone(self, entry: Entry) -> None:
        assert entry.reference() is None
        if not entry.closed:
            self.note_freed(entry)

    def check(self) -> None:
        """After each step: the account, to the byte."""
        kept = sum(entry.cost for entry in self.entries) + sum(entry.cost for entry in self.gone)
        assert zmalloc.used_memory() == self.base + kept
        start_allocated, start_freed = self.thread_start
        assert zmalloc.zmalloc_thread_allocated() - start_allocated == self.allocated
        assert zmalloc.zmalloc_thread_freed() - start_freed == self.freed
        start_allocated, start_freed = self.total_start
        assert zmalloc.zmalloc_total_allocated() - start_allocated == self.allocated + self.others_allocated
        assert zmalloc.zmalloc_total_freed() - start_freed == self.freed + self.others_freed
        for entry in self.entries:
            if not entry.closed:
                assert zmalloc.zmalloc_size(entry.block) == entry.cost
        assert zmalloc.peak_memory() >= self.base + kept

    def check_bytes(self) -> None:
        for entry in self.entries:
            assert entry.closed or entry.block == entry.data
        for entry in self.gone:
            assert entry.views[0].obj == entry.data

    def end(self) -> None:
        """Nothing is left."""
        zmalloc.set_oom_handler(None)
        self.check_bytes()
        while self.scopes:
            self.leave_scope()
        self.victim = None
        for entry in self.entries + self.gone:
            while entry.views:
                entry.views.pop().release()
        for entry in list(self.entries):
            self.let_go(entry)
        for entry in self.gone:
            self.is_gone(entry)
        self.gone.clear()
        self.check()
        assert zmalloc.used_memory() == self.base

    # Actions: Blocks come and go.

    def make(self, way: int, size: int) -> None:
        maker, zero = MAKERS[way % len(MAKERS)]
        self.add(maker(size), size, zero)

    def make_aligned(self, way: int, alignment: int, size: int) -> None:
        maker, zero = ALIGNED_MAKERS[way % len(ALIGNED_MAKERS)]
        self.add(maker(alignment, size), size, zero)

    def make_copy(self, byte: int, size: int) -> None:
        text = bytes([byte or 1]) * min(size, 500)
        block = zmalloc.zstrdup(text)
        assert block == text + b"\0"
        self.add(block, len(text) + 1, zero=False)

    def make_in_thread(self, way: int, size: int) -> None:
        maker, zero = MAKERS[way % len(MAKERS)]
        made: list[zmalloc.Block] = []
        in_thread(lambda: made.append(maker(size)))
        self.add(made.pop(), size, zero, other_thread=True)

    def free(self, which: int, way: int) -> None:
        entry = self.pick_open(which)
        if entry is None:
            return
        free = FREERS[way % len(FREERS)]
        if entry.views:
            with refused(BufferError):
                free(entry.block)
            return
        free(entry.block)
        self.note_freed(entry)
        assert repr(entry.block) == "<zmalloc.Block, closed>"

    def free_in_thread(self, which: int, way: int) -> None:
        entry = self.pick_open(which)
        if entry is None or entry.views:
            return
        in_thread(lambda: FREERS[way % len(FREERS)](entry.block))
        self.others_freed += entry.cost
        entry.cost = 0
        entry.closed = True

    def forget(self, which: int) -> None:
        entry = self.pick(which)
        if entry is not None:
            self.let_go(entry)

    def forget_in_a_cycle(self, which: int) -> None:
        entry = self.pick(which)
        if entry is None:
            return
        gc.disable()
        cycle: list[object] = [entry.block]
        cycle.append(cycle)
        entry.block = None
        del cycle
        assert entry.reference() is not None
        gc.collect(0)
        gc.enable()
        self.let_go(entry)

    def use_closed(self, which: int, way: int) -> None:
        closed = [entry for entry in self.entries if entry.closed]
        if not closed:
            return
        block = closed[which % len(closed)].block
        with refused(ValueError):
            USES[way % len(USES)](block)
        assert block == block
        assert block != b""
        block.close()

    # Actions: sizes.

    def resize(self, which: int, size: int) -> None:
        entry = self.pick_open(which)
        if entry is None:
            return
        if entry.views:
            with refused(BufferError):
                entry.block.resize(size)
            return
        before = len(entry.data)
        entry.block.resize(size)
        self.note_moved(entry, size)
        assert entry.data[before:] == bytes(max(0, size - before))

    def realloc(self, which: int, way: int, size: int) -> None:
        entry = self.pick_open(which)
        if entry is None:
            return
        move = MOVERS[way % len(MOVERS)]
        if entry.views:
            with refused(BufferError):
                move(entry.block, size)
        elif size == 0:
            assert move(entry.block, 0) is None
            self.note_freed(entry)
        else:
            assert move(entry.block, size) is entry.block
            self.note_moved(entry, size)

    def extend(self, which: int, byte: int) -> None:
        """Under a view too: the memory stays where it is."""
        entry = self.pick_open(which)
        if entry is None:
            return
        usable = entry.block.usable
        with refused(ValueError):
            zmalloc.extend_to_usable(entry.block, usable + 1 + byte)
        length = usable * byte // 255
        assert zmalloc.extend_to_usable(entry.block, length) is entry.block
        self.note_length(entry, length)
        if length > 0:
            entry.block[-1] = entry.data[-1] = byte

    def free_with_wrong_size(self, which: int, byte: int) -> None:
        entry = self.pick_open(which)
        if entry is not None:
            with refused(ValueError):
                zmalloc.zfree_with_size(entry.block, entry.block.usable + 1 + byte)

    def advise(self, which: int) -> None:
        entry = self.pick_open(which)
        if entry is None:
            return
        zmalloc.zmadvise_dontneed(entry.block)
        content = bytes(entry.block)
        if content != entry.data:
            assert all(new in (0, old) for new, old in zip(content, entry.data))
            entry.data[:] = content

    # Actions: bytes.

    def read(self, which: int, index: int, stop: int | None, step: int | None) -> None:
        entry = self.pick_open(which)
        if entry is None:
            return
        part = slice(index, stop, step)
        assert entry.block[part] == entry.data[part]
        if -len(entry.data) <= index < len(entry.data):
            assert entry.block[index] == entry.data[index]
        else:
            with refused(IndexError):
                entry.block[index]

    def write(self, which: int, index: int, byte: int) -> None:
        entry = self.pick_open(which)
        if entry is None:
            return
        if -len(entry.data) <= index < len(entry.data):
            entry.block[index] = entry.data[index] = byte
        else:
            with refused(IndexError):
                entry.block[index] = byte

    def write_slice(self, which: int, index: int, stop: int | None, step: int | None, byte: int) -> None:
        entry = self.pick_open(which)
        if entry is None:
            return
        part = slice(index, stop, step)
        length = len(entry.data[part])
        for wrong in {length + 1, max(0, length - 1)} - {length}:
            with refused(ValueError):
                entry.block[part] = bytes(wrong)
        entry.block[part] = entry.data[part] = bytes([byte]) * length

    def copy_from(self, which: int, index: int) -> None:
        """From another Block, or from itself, overlapping."""
        entry, source = self.pick_open(which), self.pick_open(which + index % 3)
        if entry is None or source is None:
            return
        length = min(len(entry.data), len(source.data)) // 2
        with memoryview(source.block) as view:
            entry.block[:length] = view[length : 2 * length]
        entry.data[:length] = bytes(source.data[length : 2 * length])

    def compare(self, which: int, index: int) -> None:
        entry, other = self.pick_open(which), self.pick(which + index % 5)
        if entry is None or other is None:
            return
        assert entry.block == bytes(entry.data)
        assert bytearray(entry.data) == entry.block
        assert entry.block != bytes(entry.data) + b"x"
        same = entry is other or (not other.closed and entry.data == other.data)
        assert (entry.block == other.block) is same
        assert (other.block != entry.block) is not same
        assert repr(entry.block) == f"<zmalloc.Block, {len(entry.data)} bytes>"

    # Actions: views.

    def view(self, which: int, index: int) -> None:
        entry = self.pick_open(which)
        if entry is None or len(entry.views) > 3:
            return
        view = memoryview(entry.block)
        assert view == entry.data
        if index % 2 == 1:
            part = view[index % 5 :]
            view.release()
            view = part
        entry.views.append(view)

    def write_view(self, which: int, byte: int) -> None:
        viewed = [entry for entry in self.entries + self.gone if entry.views]
        if not viewed:
            return
        entry = viewed[which % len(viewed)]
        view = entry.views[byte % len(entry.views)]
        whole = view.obj
        if len(whole) > 0 and view.nbytes > 0 and len(whole) == len(entry.data) and view.nbytes <= len(whole):
            view[0] = byte
            at = bytes(whole)
            changed = [i for i, (new, old) in enumerate(zip(at, entry.data)) if new != old]
            assert len(changed) <= 1
            entry.data[:] = at

    def release_view(self, which: int, byte: int) -> None:
        viewed = [entry for entry in self.entries + self.gone if entry.views]
        if not viewed:
            return
        entry = viewed[which % len(viewed)]
        entry.views.pop(byte % len(entry.views)).release()
        if entry in self.gone and not entry.views:
            self.gone.remove(entry)
            self.is_gone(entry)

    # Actions: want of memory.

    def set_handler(self, way: int, which: int) -> None:
        handlers: list[Callable[[int], object] | None] = [
            None, self.note_call, self.raise_no_more, self.ask_again, self.close_victim, self.resize_victim,
            self.unset_handler,
        ]  # fmt: skip
        self.handler_kind = way % len(handlers)
        self.victim = self.pick_open(which)
        zmalloc.set_oom_handler(handlers[self.handler_kind])

    def ask_too_much(self, which: int, way: int) -> None:
        entry = self.pick_open(which)
        free = entry is not None and not entry.views
        ask = LOUD[way % len(LOUD)]
        self.handler_calls.clear()
        handled = self.handler_kind != 0
        with refused(NoMore if self.handler_kind == 2 else MemoryError):
            ask(entry.block if free else None)
        assert self.handler_calls == ([HUGE] if handled else [])

    def try_too_much(self, which: int, way: int) -> None:
        entry = self.pick_open(which)
        free = entry is not None and not entry.views
        self.handler_calls.clear()
        assert QUIET[way % len(QUIET)](entry.block if free else None) is None
        assert not self.handler_calls

    def ask_too_much_in_thread(self, way: int) -> None:
        self.handler_calls.clear()
        if self.handler_kind in (0, 1):
            with refused(MemoryError):
                in_thread(lambda: LOUD[way % len(LOUD)](None))
            assert self.handler_calls == [HUGE] * self.handler_kind

    def note_call(self, size: int) -> None:
        self.handler_calls.append(size)

    def raise_no_more(self, size: int) -> None:
        self.handler_calls.append(size)
        raise NoMore

    def ask_again(self, size: int) -> None:
        self.handler_calls.append(size)
        with refused(MemoryError):
            zmalloc.zmalloc(size)
        zmalloc.zmalloc(size)

    def close_victim(self, size: int) -> None:
        self.handler_calls.append(size)
        if self.victim is not None and self.victim in self.entries and not self.victim.closed:
            with suppress(BufferError):
                self.victim.block.close()
                self.note_freed(self.victim)

    def resize_victim(self, size: int) -> None:
        self.handler_calls.append(size)
        if self.victim is not None and self.victim in self.entries and not self.victim.closed:
            with suppress(BufferError):
                self.victim.block.resize(3000)
                self.note_moved(self.victim, 3000)

    def unset_handler(self, size: int) -> None:
        self.handler_calls.append(size)
        zmalloc.set_oom_handler(None)
        self.handler_kind = 0

    # Actions: scopes, and what is asked of the process.

    def enter_scope(self, way: int) -> None:
        if len(self.scopes) < 4:
            scope = zmalloc.track(all_threads=way % 2 == 1)
            scope.__enter__()
            everywhere = way % 2
            self.scopes.append((scope, bool(everywhere), self.allocated + everywhere * self.others_allocated,
                                self.freed + everywhere * self.others_freed))  # fmt: skip

    def leave_scope(self) -> None:
        if not self.scopes:
            return
        scope, everywhere, allocated, freed = self.scopes.pop()
        scope.__exit__(None, None, None)
        assert scope.allocated == self.allocated + everywhere * self.others_allocated - allocated
        assert scope.freed == self.freed + everywhere * self.others_freed - freed
        assert scope.kept == scope.allocated - scope.freed

    def ask(self, way: int) -> None:
        questions = [
            zmalloc.rss, zmalloc.report, zmalloc.allocator_info, zmalloc.memory_size, zmalloc.reset_peak_memory,
            lambda: zmalloc.zmalloc_good_size(100), zmalloc.zmalloc_get_rss, lambda: zmalloc.get_proc_stat_ll(1),
        ]  # fmt: skip
        questions[way % len(questions)]()

    def look_at_all(self) -> None:
        self.check_bytes()


ACTIONS = [
    "make", "make", "make_aligned", "make_copy", "make_in_thread", "free", "free_in_thread", "forget",
    "forget_in_a_cycle", "use_closed", "resize", "resize", "realloc", "realloc", "extend", "free_with_wrong_size",
    "advise", "read", "write", "write_slice", "copy_from", "compare", "view", "write_view", "release_view",
    "release_view", "set_handler", "ask_too_much", "try_too_much", "ask_too_much_in_thread", "enter_scope",
    "leave_scope", "ask", "look_at_all",
]  # fmt: skip


STEP_SIZE = 8


class Step:
    """An action and its arguments, as some bytes choose them: the first the action, others what each is to be."""

    def __init__(self, choice: bytes) -> None:
        self.action = ACTIONS[choice[0] % len(ACTIONS)]
        code = getattr(Model, self.action).__code__
        values = [ARGUMENTS[name] for name in code.co_varnames[1 : code.co_argcount]]
        self.arguments = [value[byte % len(value)] for value, byte in zip(values, choice[1:])]

    def __repr__(self) -> str:
        return f"{self.action}({', '.join(map(repr, self.arguments))})"

    def take(self, model: Model) -> None:
        getattr(model, self.action)(*self.arguments)
        model.check()


def run(steps: int, seed: int) -> None:
    """So many steps by chance, in runs of 50."""
    chance = random.Random(seed)
    for _ in range(steps // 50):
        model, trace = Model(), []
        try:
            for _ in range(50):
                trace.append(Step(chance.randbytes(STEP_SIZE)))
                trace[-1].take(model)
            model.end()
        except BaseException:
            print(*trace, sep="\n", file=sys.stderr)
            raise
    print(f"{steps // 50 * 50} steps, seed {seed}")


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))
