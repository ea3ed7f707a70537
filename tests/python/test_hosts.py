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

CODE = '''
try:
    import zmalloc
except ImportError as error:
    print("refused:", error, flush=True)
else:
    print("imported", zmalloc, flush=True)
'''

def refuse_everywhere():
    for name, run in ways():
        print(name, flush=True)
        run(CODE)
        run(CODE)
"""


@pytest.mark.parametrize("first", ["main", "subinterpreter"])
def test_subinterpreters_are_refused(first: str) -> None:
    """Whoever imports it first; and the main interpreter's module works on."""
    before = "import zmalloc\nkept = zmalloc.Block(100)\n" if first == "main" else ""
    after = "assert bytes(kept[:1]) == b'\\0'\nkept.close()\n" if first == "main" else ""
    lines = run(SUBINTERPRETERS + before + "refuse_everywhere()\n" + after + WORKOUT).splitlines()
    assert lines.pop() == "done"
    refused = [line for line in lines if line.startswith("refused: ")]
    assert len(refused) >= 2
    assert not [line for line in lines if line.startswith("imported")]
    ours = "refused: zmalloc can't be used in a subinterpreter: import it in the main one"
    # In subinterpreters with their own GIL:
    pythons = "refused: module zmalloc._zmalloc does not support loading in subinterpreters"
    assert ours in refused
    assert set(refused) <= {ours, pythons}


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
