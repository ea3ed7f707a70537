# SPDX-License-Identifier: BSD-3-Clause
"""What threads share: Blocks, handlers and monitors, of which each thread gets its turn or an exception.

With the interpreter's global lock and without it. With arguments, seconds and threads, this is a program that goes on
for so long: for a Python that ThreadSanitizer watches.
"""

from __future__ import annotations

import copy
import os
import random
import subprocess
import sys
import sysconfig
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

import pytest
import zmalloc

THREADS = 8
HUGE = 2**62
FILL = ord("x")


class Shared:
    """Some Blocks, of which the next that is closed is replaced; and what was wrong."""

    def __init__(self) -> None:
        self.blocks = [zmalloc.Block(100) for _ in range(3)]
        self.monitor = zmalloc.Monitor(None, length=4)
        self.handled = 0
        self.wrong: list[object] = []

    def check(self, right: object, what: object) -> None:
        if not right:
            self.wrong.append(what)


def resize(shared: Shared, block: zmalloc.Block, chance: random.Random) -> None:
    block.resize(chance.choice([0, 1, 100, 1000, 5000, 200_000]))


def close(shared: Shared, block: zmalloc.Block, chance: random.Random) -> None:
    if chance.random() < 0.5:
        block.close()
    else:
        chance.choice([zmalloc.zfree, zmalloc.zfree_usable, zmalloc.zfree_no_tcache])(block)
    shared.blocks[chance.randrange(len(shared.blocks))] = zmalloc.Block(chance.randrange(5000))


def view(shared: Shared, block: zmalloc.Block, chance: random.Random) -> None:
    """While it is there, the memory stays where it is."""
    with memoryview(block) as bytes_of_it:
        shared.check(len(bytes_of_it) <= block.usable, "length")
        shared.check(set(bytes_of_it[:200]) | set(bytes_of_it[-200:]) <= {0, FILL}, bytes(bytes_of_it[:20]))
        for refused in (block.close, lambda: block.resize(10), lambda: zmalloc.zfree(block)):
            try:
                refused()
            except BufferError:
                pass
            else:
                shared.wrong.append("freed under a view")
        bytes_of_it[: len(bytes_of_it) // 2] = bytes([FILL]) * (len(bytes_of_it) // 2)


def read(shared: Shared, block: zmalloc.Block, chance: random.Random) -> None:
    shared.check(set(bytes(block)) <= {0, FILL}, "bytes")
    shared.check(block == block or not block_is_open(block), "equal")
    shared.check(block != b"y" * 7, "not equal")
    shared.check(all(byte in (0, FILL) for byte in block), "one by one")
    block[-1:] = bytes(min(len(block), 1))
    block[0] = FILL


def block_is_open(block: zmalloc.Block) -> bool:
    return "closed" not in repr(block)


def ask(shared: Shared, block: zmalloc.Block, chance: random.Random) -> None:
    shared.check(zmalloc.zmalloc_size(block) > 0, "size")
    shared.check(zmalloc.zmalloc_usable_size(block) > 0, "usable size")
    shared.check(block.usable > 0, "usable")
    shared.check(weakref.ref(block)() is block, "reference")
    with block:
        pass  # which closes it


def hand_on(shared: Shared, block: zmalloc.Block, chance: random.Random) -> None:
    """C resizes it, or is told its size. What C adds is not zero, so it adds nothing."""
    if chance.random() < 0.5:
        zmalloc.zrealloc(block, 1)
        zmalloc.ztryrealloc_usable(block, HUGE)
    else:
        zmalloc.extend_to_usable(block, 1)
        zmalloc.zfree_with_size(block, block.usable)


def pickle(shared: Shared, block: zmalloc.Block, chance: random.Random) -> None:
    try:
        copy.copy(block)
    except TypeError:
        return
    shared.wrong.append("copied")


def handle(shared: Shared, block: zmalloc.Block, chance: random.Random) -> None:
    """There is no memory, and whose handler it is has some Blocks to do things to."""

    def handler(size: int) -> bool:
        shared.handled += 1
        shared.check(size == HUGE, size)
        with suppress(ValueError, BufferError):
            chance.choice(shared.blocks).resize(50)
        return random.random() < 0.1

    zmalloc.set_oom_handler(chance.choice([handler, None]), retry=chance.random() < 0.5)
    with suppress(MemoryError):
        block.resize(HUGE)
        shared.wrong.append("resized to 2**62")
    with suppress(MemoryError):
        zmalloc.zmalloc(HUGE)
        shared.wrong.append("made one of 2**62")


def press(shared: Shared, block: zmalloc.Block, chance: random.Random) -> None:
    """A soft limit that is passed at once."""

    def handler(used: int) -> None:
        shared.handled += 1
        shared.check(used > 0, used)

    zmalloc.set_soft_limit(chance.choice([None, zmalloc.used_memory() + 1000]), handler, 0)
    zmalloc.Block(3000).resize(6000)


def report(shared: Shared, block: zmalloc.Block, chance: random.Random) -> None:
    shared.check(zmalloc.report().used is not None, "report")
    shared.monitor.sample()
    with zmalloc.track() as scope:
        zmalloc.Block(1000).close()
    shared.check(scope.allocated >= 1000, "scope")


def look_back(shared: Shared, block: zmalloc.Block, chance: random.Random) -> None:
    """At samples: whole, and in their order."""
    before = shared.monitor.taken
    samples = shared.monitor.samples()
    shared.check(before <= shared.monitor.taken, "taken")
    times = [sample.monotonic for sample in samples]
    shared.check(times == sorted(times), times)
    for sample in samples:
        shared.check(sample.rss is not None and 0 < sample.rss < 2**50, sample)


def move(shared: Shared, block: zmalloc.Block, chance: random.Random) -> None:
    """To undo fragmentation, which only jemalloc can."""
    with suppress(OSError):
        zmalloc.zmalloc_defrag(shared.blocks, 0, 0)
        zmalloc.zmalloc_defrag_hints(shared.blocks)
        zmalloc.zmalloc_defrag_hint(block)


ACTIONS = [move, resize, close, view, read, ask, hand_on, pickle, handle, press, report, look_back]


def work(shared: Shared, seed: int, go_on: Callable[[int], bool]) -> None:
    chance = random.Random(seed)
    step = 0
    try:
        while go_on(step):
            step += 1
            with suppress(ValueError, BufferError, IndexError):  # closed, viewed or resized by another, or empty
                chance.choice(ACTIONS)(shared, chance.choice(shared.blocks), chance)
    except BaseException as error:
        shared.wrong.append(error)


def share(threads: int, go_on: Callable[[int], bool]) -> Shared:
    """All threads do all things to the same few Blocks."""
    shared = Shared()
    workers = [threading.Thread(target=work, args=(shared, seed, go_on)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    zmalloc.set_oom_handler(None)
    zmalloc.set_soft_limit(None)
    return shared


def test_shared_by_threads() -> None:
    shared = share(THREADS, lambda step: step < 300)
    assert not shared.wrong, shared.wrong[:5]
    assert shared.handled > 0 and shared.monitor.taken > 0
    for block in shared.blocks:
        block.close()


def test_an_alarm_rings_once() -> None:
    """However many threads stop a monitor."""
    for _ in range(50):
        with zmalloc.Monitor(interval=60) as monitor:
            stoppers = [threading.Thread(target=monitor.stop) for _ in range(3)]
            for stopper in stoppers:
                stopper.start()
            for stopper in stoppers:
                stopper.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_waits_for_no_thread(script: Callable) -> None:
    """Of those that were at handlers and at a monitor when it was forked, none is left to end what it began.

    Nor is one that collects garbage, for which 3.13t's own collector would wait.
    """
    result = script(
        "import gc, os, signal, threading, warnings\n"
        "gc.disable()\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "os.register_at_fork(after_in_child=lambda: signal.alarm(20))\n"
        "monitor = zmalloc.Monitor(None, length=500)\n"
        "def handle(): zmalloc.set_oom_handler(None); zmalloc.set_soft_limit(None)\n"
        "def sample(): monitor.samples()\n"
        "def mark(): monitor.mark('here'); monitor.events()\n"
        "uses = (handle, sample, mark)\n"
        "done = threading.Event()\n"
        "def work(use):\n"
        "    while not done.is_set(): use()\n"
        "for use in uses * 2: threading.Thread(target=work, args=[use]).start()\n"
        "ends = set()\n"
        "for _ in range(100):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        for use in uses: use()\n"
        "        os._exit(0)\n"
        "    ends.add(os.waitpid(pid, 0)[1])\n"
        "    if ends != {0}: break\n"
        "done.set()\n"
        "print(ends)\n"
    )
    assert (result.returncode, result.stdout) == (0, "{0}\n"), result.stderr


def test_the_global_lock_stays_off() -> None:
    """Where Python can do without it; elsewhere there is nothing to ask, and nothing is said either."""
    code = "import sys, zmalloc; print(getattr(sys, '_is_gil_enabled', lambda: True)())"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True,
                            timeout=60, check=True, env=environment)  # fmt: skip
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert (result.stdout, result.stderr) == (f"{not free_threaded}\n", "")


if __name__ == "__main__":
    END = time.monotonic() + float(sys.argv[1])
    SHARED = share(int(sys.argv[2]), lambda step: time.monotonic() < END)
    del SHARED.blocks[:]
    print("wrong:", SHARED.wrong[:5], "in use:", zmalloc.used_memory())
    sys.exit(1 if SHARED.wrong or zmalloc.used_memory() else 0)
