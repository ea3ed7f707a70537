# SPDX-License-Identifier: BSD-3-Clause
"""The processes that the module comes into: strict and forked interpreters, subinterpreters, other allocators."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

# What every host must bear: Blocks of several threads, and every kind of question.
WORKOUT = """
import threading
import zmalloc

def work():
    for size in range(1, 30_000, 331):
        with zmalloc.Block(size) as block:
            block[:1] = b"x"
            block.resize(2 * size)
            assert bytes(block[:2]) == b"x\\0"

before = zmalloc.used_memory()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert zmalloc.used_memory() == before, (before, zmalloc.used_memory())
kept = zmalloc.Block(3_000_000)
assert zmalloc.used_memory() == before + zmalloc.zmalloc_size(kept)
zmalloc.purge()
assert zmalloc.report(walk=True).used == zmalloc.used_memory()
assert zmalloc.rss() > 0 and zmalloc.smaps()
zmalloc.allocator_info()
try:
    zmalloc.Block(2**62)
except MemoryError:
    pass
kept.close()
print("done")
"""


def run(code: str, *options: str, **environment: str) -> str:
    """What a new interpreter prints, which must not complain of anything."""
    command = [sys.executable, "-X", "faulthandler", *options, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | environment)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return result.stdout


def test_developer_mode_with_warnings_as_errors() -> None:
    assert run(WORKOUT, "-X", "dev", "-W", "error") == "done\n"


def test_isolated_interpreter() -> None:
    """Optimised, and without anything from the environment, site packages or the current folder."""
    path = f"import sys; sys.path.insert(0, {os.environ['PYTHONPATH'].split(os.pathsep)[0]!r})\n"
    assert run(path + WORKOUT.replace("assert ", "check = "), "-I", "-S", "-OO") == "done\n"


def test_forked_from_among_threads() -> None:
    """Children of a process whose threads are at work: each has memory that works, and counts right."""
    code = f"""
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # newer interpreters advise against it
import threading, zmalloc
over = threading.Event()
def churn():
    while not over.is_set():
        zmalloc.Block(1000).resize(5000)
churners = [threading.Thread(target=churn) for _ in range(3)]
for thread in churners:
    thread.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            exec({WORKOUT!r}.replace('print("done")', ""))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
over.set()
for thread in churners:
    thread.join()
{WORKOUT}
"""
    assert run(code) == "done\n"


# Ways to make a subinterpreter and run code in it, as releases of Python have them.
SUBINTERPRETERS = """
def ways():
    try:
        import _testcapi
        yield "C API", _testcapi.run_in_subinterp
    except ImportError:
        pass
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = __import__(name)
        except ImportError:
            continue
        for kind in ("legacy", "isolated"):
            def run(code):
                try:
                    new = interpreters.create(kind)
                except TypeError:  # before 3.13; and before 3.12 there is one kind
                    new = interpreters.create(isolated=kind == "isolated")
                try:
                    assert interpreters.run_string(new, code) is None
                finally:
                    interpreters.destroy(new)
            yield f"{name} {kind}", run
        break

# What each of them must bear, twice: what it keeps is freed when it ends.
CODE = '''
import zmalloc

before = zmalloc.used_memory()
asked = []
for size in (0, 1, 1000, 300_000):
    with zmalloc.Block(size) as block:
        block.resize(2 * size + 1)
        block[0] = 7
        assert block[:1] == bytes([7]) and block == bytes(block) and len(block) == 2 * size + 1
        with memoryview(block) as view:
            assert view[0] == 7
aligned = zmalloc.Block(100, alignment=256)
pair = zmalloc.zmalloc_usable(100)
assert type(pair) is zmalloc.UsableBlock and type(pair.block) is type(aligned) is zmalloc.Block
assert zmalloc.zmalloc_size(aligned) > 0 and zmalloc.zrealloc(pair.block, 500) is pair.block
for wrong in (3, "x", b"", object()):
    try:
        zmalloc.zmalloc_size(wrong)
    except TypeError:
        continue
    raise AssertionError(wrong)
zmalloc.set_oom_handler(asked.append)
for call in (zmalloc.Block, zmalloc.zmalloc, aligned.resize):
    try:
        call(2**62)
    except MemoryError:
        continue
    raise AssertionError(call)
assert asked == [2**62] * 3, asked
passed = []
zmalloc.set_soft_limit(zmalloc.used_memory() + 1000, passed.append)
zmalloc.Block(5000)
assert len(passed) == 1, passed
zmalloc.set_soft_limit(None)
assert type(zmalloc.report(walk=True)) is zmalloc.Report and zmalloc.report()._repr_html_()
assert type(zmalloc.mappings()[0]) is zmalloc.Mapping and zmalloc.smaps("Rss") > 0
assert zmalloc.memory_limits().physical > 0 and zmalloc.ZMALLOC_VERSION == zmalloc.__version__
monitor = zmalloc.Monitor(None)
assert monitor.sample() == monitor.samples()[0]
kept = zmalloc.Block(1000)
del aligned, call, pair, block, view, monitor
assert zmalloc.used_memory() - before == zmalloc.zmalloc_size(kept)
print("right", flush=True)
'''

def run_everywhere():
    for name, run in ways():
        run(CODE)
        run(CODE)
        print("ran", name, flush=True)
"""


@pytest.mark.parametrize("first", ["main", "subinterpreter"])
def test_subinterpreters(first: str) -> None:
    """Whoever imports it first. Blocks that an interpreter keeps are freed with it; handlers are each one's own."""
    before = """
import zmalloc
def refuse(size):
    raise AssertionError(size)
zmalloc.set_oom_handler(refuse)
kept = zmalloc.Block(100)
used = zmalloc.used_memory()
"""
    after = """
assert zmalloc.used_memory() == used, (zmalloc.used_memory(), used)
assert kept[:1] == bytes(1) and type(kept) is zmalloc.Block
try:
    zmalloc.Block(2**62)
except AssertionError:
    pass
else:
    raise SystemExit("it was not asked")
zmalloc.set_oom_handler(None)
kept.close()
"""
    if first != "main":
        before = after = ""
    lines = run(SUBINTERPRETERS + before + "run_everywhere()\n" + after + WORKOUT).splitlines()
    assert lines.pop() == "done"
    ran = [line for line in lines if line.startswith("ran ")]
    assert ran and lines.count("right") == 2 * len(ran) == len(lines) - len(ran)


# Several at a time, of which each may have a lock of its own, while the main one is at work too.
SIDE_BY_SIDE = """
import threading
import zmalloc

LOOP = '''
import zmalloc
kept = [zmalloc.Block(100) for _ in range(50)]
for step in range(300):
    kept[step % 50].resize(step)
    kept[step * 7 % 50] = zmalloc.Block(step)
    zmalloc.zmalloc_usable(step)
    if step % 20 == 0:
        seen = []
        zmalloc.set_oom_handler(seen.append)
        try:
            zmalloc.Block(2**62)
        except MemoryError:
            pass
        assert seen == [2**62], seen
        zmalloc.report()
'''

before = zmalloc.used_memory()
for _, run in ways():
    failures = []
    def work():
        try:
            run(LOOP)
            run(LOOP)
        except BaseException as error:
            failures.append(error)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    exec(LOOP, {})
    for thread in threads:
        thread.join()
    zmalloc.set_oom_handler(None)
    assert not failures, failures
assert zmalloc.used_memory() == before, (zmalloc.used_memory(), before)
print("done")
"""


def test_subinterpreters_side_by_side() -> None:
    assert run(SUBINTERPRETERS + SIDE_BY_SIDE) == "done\n"


def test_imported_anew() -> None:
    """After sys.modules was cleared, as test runners do: what is alive keeps its type, and works."""
    code = """
import sys
import zmalloc as old
kept, pair = old.Block(100), old.zmalloc_usable(10)
for _ in range(3):
    for name in [name for name in sys.modules if name.startswith("zmalloc")]:
        del sys.modules[name]
    import zmalloc
    assert zmalloc is not old
    assert zmalloc.Block is old.Block and type(zmalloc.zmalloc_usable(10)) is type(pair)
    zmalloc.zmalloc_size(kept)
    zmalloc.zfree(zmalloc.zmalloc(50))
del kept, pair, old
"""
    assert run(code + WORKOUT) == "done\n"


# Blocks are numpy's arrays on some threads while its own come and go, and the account is that of the Blocks alone.
NUMPY_ON_THREADS = """
import random, threading
import numpy, zmalloc

lock, kept, bytes_kept = threading.Lock(), [], 0

def work(seed):
    global bytes_kept
    choice = random.Random(seed)
    for number in range(60):
        block = zmalloc.Block(8 * choice.randrange(1, 40_000))
        array = numpy.frombuffer(block, dtype=numpy.int64)
        array[:] = number
        own = array * 2 + numpy.arange(len(array))
        assert int(own[0]) == 2 * number and int(array.sum()) == number * len(array)
        if number % 3 == 0:
            with lock:
                kept.append(array)
                bytes_kept += zmalloc.zmalloc_size(block)
        del block, array

before = zmalloc.used_memory()
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert zmalloc.used_memory() == before + bytes_kept
kept.clear()
assert zmalloc.used_memory() == before
print("done")
"""


def preloaded(library: str) -> dict[str, str]:
    if not library:
        return {}
    found = [path for folder in ("/usr/lib", "/usr/local/lib") for path in Path(folder).glob(f"**/{library}")]
    if not found:
        pytest.skip(f"no {library} here")
    if found[0].resolve().name == "libmimalloc.so.3.0":
        pytest.skip("aligned blocks of mimalloc 3.0 overlap others")
    return {"LD_PRELOAD": str(found[0])}


OTHERS = ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.[23]*"]


@pytest.mark.parametrize("library", ["", *OTHERS])
def test_numpy_on_threads(library: str) -> None:
    if importlib.util.find_spec("numpy") is None:
        pytest.skip("no numpy here")
    assert run(NUMPY_ON_THREADS, **preloaded(library)) == "done\n"


def test_beside_numpy() -> None:
    if importlib.util.find_spec("numpy") is None:
        pytest.skip("no numpy here")
    code = """
import numpy, zmalloc
block = zmalloc.Block(8 * 1000)
array = numpy.frombuffer(block, dtype=numpy.int64)
array[:] = numpy.arange(1000)
assert int(array.sum()) == 499_500 and block[8] == 1
try:
    block.resize(10)
except BufferError:
    pass
else:
    raise AssertionError("resized under an array")
del block
assert array[-1] == 999 and zmalloc.used_memory() >= 8000
del array
"""
    assert run(code + WORKOUT) == "done\n"


def test_beside_psutil() -> None:
    """Both see the same process; and each has module globals that the other must not touch."""
    if importlib.util.find_spec("psutil") is None:
        pytest.skip("no psutil here")
    code = """
import psutil, zmalloc
assert abs(zmalloc.rss() - psutil.Process().memory_info().rss) < 8 << 20
"""
    assert run(code + WORKOUT) == "done\n"


@pytest.mark.parametrize("library", OTHERS)
def test_with_another_allocator_preloaded(library: str) -> None:
    """The whole interpreter lives on the other one; Blocks are counted to the byte, no figure is another malloc's."""
    mapped = f"assert {library.split('.')[0]!r} in open('/proc/self/maps').read()\n"
    known = """
with zmalloc.Block(3_000_000):
    report = zmalloc.report()
    assert report.allocated is None or report.allocated >= report.used > 0, report
    assert report.active is None or report.active >= report.allocated, report
"""
    assert run(mapped + WORKOUT + known, **preloaded(library)) == "done\n"
