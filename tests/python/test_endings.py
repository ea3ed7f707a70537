# SPDX-License-Identifier: BSD-3-Clause
"""Ends of objects, modules, threads, forks and interpreters, in the wrong order: nothing crashes, no byte is lost."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HELP = """
import atexit, gc, os, signal, sys, threading, weakref
import zmalloc

HUGE = 2**62

def fails(call, *kinds):
    try:
        call()
    except (kinds or MemoryError):
        return True
    raise AssertionError("did not fail")

start = zmalloc.used_memory()

def nothing_kept():
    gc.collect()
    assert zmalloc.used_memory() == start, zmalloc.used_memory()
"""

ENDINGS = {
    # Objects.
    "an owner is resurrected, and its Block with it": """
class Owner:
    def __init__(self):
        self.block = zmalloc.Block(1000)
    def __del__(self):
        kept.append(self)
kept = []
Owner()
kept[0].block[:] = b"x" * 1000
del kept[0].block
kept.clear()
nothing_kept()
""",
    "a cycle is resurrected, its Blocks and views with it": """
class Node:
    def __del__(self):
        kept.append(self.block)
kept = []
for closed in (False, True):
    node = Node()
    node.node, node.block = node, zmalloc.Block(1000)
    node.view = memoryview(node.block)
    if closed:
        node.view.release()
        node.block.close()
    del node
    gc.collect()
assert len(kept) == 2 and bytes(kept[0]) == bytes(1000)
kept.clear()
nothing_kept()
""",
    "weak references' callbacks look at what is gone": """
seen = []
def gone(reference):
    assert reference() is None
    seen.append(zmalloc.Block(100))
    fails(lambda: zmalloc.zmalloc(HUGE))
references = [weakref.ref(zmalloc.Block(10), gone), weakref.finalize(zmalloc.Block(10), gone, lambda: None)]
assert len(seen) == 2
seen.clear()
nothing_kept()
""",
    "an object's type is changed": """
class Plain: pass
block = zmalloc.Block(10)
fails(lambda: setattr(block, "__class__", Plain), TypeError)
fails(lambda: setattr(Plain(), "__class__", zmalloc.Block), TypeError)
fails(lambda: setattr(zmalloc, "__class__", zmalloc.Block), TypeError)
fails(lambda: setattr(block, "anything", 1), AttributeError)
fails(lambda: type(block).__base__.__reduce_ex__(block, 2), TypeError)
fails(lambda: type(block).__base__.__new__(type(block)), TypeError)
block.__init__()
block.close()
nothing_kept()
""",
    # Handlers.
    "a handler recurses without end": """
def handler(size):
    handler(size)
zmalloc.set_oom_handler(handler)
for _ in range(3):
    fails(lambda: zmalloc.zmalloc(HUGE), RecursionError)
def ask_deeply(depth=0):
    try:
        ask_deeply(depth + 1)
    except RecursionError:
        fails(lambda: zmalloc.zmalloc(HUGE), RecursionError, MemoryError)
        raise
fails(ask_deeply, RecursionError)
zmalloc.set_oom_handler(None)
nothing_kept()
""",
    "calls at the last depth of recursion": """
def go_down(call):
    try:
        go_down(call)
    finally:
        call()
kept = zmalloc.Block(100)
calls = [lambda: zmalloc.Block(10), lambda: kept == b"x", lambda: kept[:5], lambda: zmalloc.report(),
         lambda: zmalloc.smaps("Rss"), lambda: zmalloc.track().__enter__(), lambda: kept.resize(200),
         lambda: repr(kept)]
for call in calls:
    fails(lambda: go_down(call), RecursionError)
kept.close()
nothing_kept()
""",
    "a handler is let go while it runs, and its end asks for more": """
class Handler:
    def __call__(self, size):
        zmalloc.set_oom_handler(None)
    def __del__(self):
        fails(lambda: zmalloc.zmalloc(HUGE))
        zmalloc.set_oom_handler(print)
        zmalloc.set_oom_handler(None)
for _ in range(10):
    zmalloc.set_oom_handler(Handler())
    fails(lambda: zmalloc.zmalloc(HUGE))
    zmalloc.set_oom_handler(Handler())
    zmalloc.set_oom_handler(Handler())
    zmalloc.set_oom_handler(None)
nothing_kept()
""",
    "a handler forks": """
def handler(size):
    child = os.fork()
    if child == 0:
        fails(lambda: zmalloc.zmalloc(HUGE + 1))
        block.resize(5000)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
block = zmalloc.Block(10)
zmalloc.set_oom_handler(handler)
fails(lambda: zmalloc.zmalloc(HUGE))
assert len(block) == 10
block.close()
nothing_kept()
""",
    "a handler is a generator's, a signal comes in the middle": """
def counter():
    while True:
        told.append((yield))
told = []
generator = counter()
next(generator)
zmalloc.set_oom_handler(generator.send)
fails(lambda: zmalloc.zmalloc(HUGE))
assert told == [HUGE]
zmalloc.set_oom_handler(lambda size: generator.throw(KeyError))
fails(lambda: zmalloc.zmalloc(HUGE), KeyError)
def on_alarm(*_):
    zmalloc.Block(100)
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, on_alarm)
zmalloc.set_oom_handler(lambda size: [signal.raise_signal(signal.SIGALRM), 1])
fails(lambda: zmalloc.zmalloc(HUGE), KeyboardInterrupt)
zmalloc.set_oom_handler(None)
nothing_kept()
""",
    # Threads and forks.
    "threads make and close the same Blocks at once": """
sys.setswitchinterval(1e-6)
shared = {}
over = threading.Event()
def work(seed):
    i = seed
    while not over.is_set():
        i += 1
        try:
            block = shared.setdefault(i % 3, zmalloc.Block(i % 2000))
            if i % 4 == 0: block.close()
            elif i % 4 == 1: block.resize(i % 3000)
            elif i % 4 == 2: zmalloc.zrealloc(block, i % 100)
            else:
                with memoryview(block) as view: bytes(view)
            shared.pop((i + 1) % 3, None)
        except (ValueError, BufferError):
            pass
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
for thread in threads: thread.start()
threading.Event().wait(0.5)
over.set()
for thread in threads: thread.join()
shared.clear()
nothing_kept()
""",
    "threads fail at once, each with the handler": """
sys.setswitchinterval(1e-6)
told = []
zmalloc.set_oom_handler(lambda size: told.append(size) if size % 2 else 1 / 0)
def work(seed):
    for i in range(300):
        size = HUGE + 2 * seed + i % 2
        fails(lambda: zmalloc.zmalloc(size), MemoryError if size % 2 else ZeroDivisionError)
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert sorted(set(told)) == [HUGE + 2 * seed + 1 for seed in range(6)] and len(told) == 900
zmalloc.set_oom_handler(None)
nothing_kept()
""",
    "threads have little stack": """
threading.stack_size((52 if sys.version_info >= (3, 14) else 32) << 10)  # the least that Python takes
calls = [zmalloc.rss, zmalloc.smaps, lambda: zmalloc.smaps("Rss"), zmalloc.mappings,
         lambda: zmalloc.report(walk=True), zmalloc.memory_limits, zmalloc.thp, zmalloc.purge,
         lambda: zmalloc.Block(5_000_000).resize(10)]
for call in calls:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
nothing_kept()
""",
    "children end in order, whatever lives": """
block = zmalloc.Block(1000)
view = memoryview(block)
zmalloc.set_oom_handler(lambda size: None)
over = threading.Event()
def churn():
    while not over.is_set():
        zmalloc.Block(100).resize(5000)
threads = [threading.Thread(target=churn) for _ in range(2)]
for thread in threads: thread.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        over.set()
        view[0] = 1
        fails(lambda: zmalloc.zmalloc(HUGE))
        zmalloc.Block(10)
        sys.exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
over.set()
for thread in threads: thread.join()
del view, block
nothing_kept()
""",
    # Modules and the interpreter.
    "modules are reloaded and imported again": """
import importlib
old = zmalloc
block = zmalloc.Block(100)
told = []
zmalloc.set_oom_handler(told.append)
for _ in range(5):
    importlib.reload(zmalloc)
    importlib.reload(sys.modules[zmalloc.track.__module__])
    importlib.reload(sys.modules["zmalloc._zmalloc"])
    fails(lambda: zmalloc.zmalloc(HUGE))
assert told == [HUGE] * 5
for _ in range(5):
    for name in [name for name in sys.modules if name.startswith("zmalloc")]:
        del sys.modules[name]
    gc.collect()
    import zmalloc
    zmalloc.zfree(zmalloc.zrealloc(block, 200) and zmalloc.Block(10))
    pair = old.zmalloc_usable(10)
    assert isinstance(pair, zmalloc.UsableBlock)
    with zmalloc.track() as scope:
        fails(lambda: old.zmalloc(HUGE))
assert told == [HUGE] * 10 and len(block) == 200
zmalloc.set_oom_handler(None)
del block, pair
nothing_kept()
""",
    "the module's own names are taken from it": """
block = zmalloc.Block(100)
for module in (zmalloc, zmalloc._zmalloc, sys.modules[zmalloc.track.__module__]):
    kept, module_names = zmalloc.__dict__.get("used_memory"), list(vars(module))
    for name in module_names:
        if not name.startswith("__"):
            delattr(module, name)
block.resize(5000)
block.close()
assert kept is None or kept() == start
""",
    "Blocks, views, handlers and scopes outlive everything": """
import builtins
class AtEnd:
    def __init__(self, Block, zmalloc_call, fails):
        self.block, self.make, self.zmalloc, self.fails = Block(100), Block, zmalloc_call, fails
    def __del__(self):
        self.block.resize(5000)
        with self.make(10) as other:
            other[0] = 1
        self.fails(lambda: self.zmalloc(2**62))
        self.block.close()
def handler(size, keep=zmalloc.Block(10)):
    keep.resize(20)
zmalloc.set_oom_handler(handler)
def late():
    fails(lambda: zmalloc.zmalloc(HUGE))
    sys.late = [AtEnd(zmalloc.Block, zmalloc.zmalloc, fails), zmalloc.Block(5)]
    zmalloc.set_oom_handler(zmalloc.Block(10).resize)
atexit.register(late)
builtins.kept = AtEnd(zmalloc.Block, zmalloc.zmalloc, fails)
sys.kept = memoryview(zmalloc.Block(100))
this = [AtEnd(zmalloc.Block, zmalloc.zmalloc, fails)]
this.append(this)
scope = zmalloc.track()
scope.__enter__()
weak = weakref.finalize(zmalloc.Block(1), print, "")
weak.atexit = False
""",
    "daemons are at work to the last": """
over = threading.Event()
def work():
    zmalloc.set_oom_handler(lambda size: None)
    while True:
        with zmalloc.Block(1000) as block:
            block.resize(5000)
        fails(lambda: zmalloc.zmalloc(HUGE))
        zmalloc.report(walk=True)
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
threading.Event().wait(0.2)
""",
}


@pytest.mark.parametrize("mode", ["plain", "dev"])
@pytest.mark.parametrize("name", ENDINGS)
def test_ending(name: str, mode: str) -> None:
    options = ["-X", "dev"] if mode == "dev" else ["-X", "faulthandler"]
    result = subprocess.run(
        [sys.executable, *options, "-W", "ignore::DeprecationWarning", "-c", HELP + ENDINGS[name]],
        capture_output=True, text=True, timeout=100, check=False, env=os.environ,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
