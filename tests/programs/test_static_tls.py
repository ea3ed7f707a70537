# SPDX-License-Identifier: BSD-3-Clause
"""How thread-local storage is reached: where nothing is left of what is static, and by descriptors."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tree import BUILD, has_private_jemalloc, option, run, tool

CORE = BUILD / "src" / "libzmalloc-core.a"
MODULES = BUILD / "bindings" / "python"
SHARED = BUILD / "src" / "libzmalloc.so.0.2"
LARGEST = 256  # bytes of the first ones: the size is halved until nothing fits
MOST = 50
LEAST = 512  # that glibc keeps for this

# Takes all that there is, in ever smaller pieces; then does what it is told, and the same in threads.
TAKE_ALL = """
import ctypes, sys, threading

def take(folder, most):
    taken, size = 0, int(sys.argv[2])
    for number in range(most):
        try:
            ctypes.CDLL(f"{folder}/taker-{size}-{number}.so")
            taken += size
        except OSError as error:
            assert "static TLS" in str(error), error
            if size == 8:
                return taken
            size //= 2
    sys.exit("it has no end")

def in_threads(use):
    used = []
    note = lambda: used.append(use())
    begin = threading.Event()
    older = threading.Thread(target=lambda: (begin.wait(), note()), daemon=True)
    older.start()
    taken = take(sys.argv[1], int(sys.argv[3]))
    note()
    begin.set()
    newer = threading.Thread(target=note)
    newer.start()
    older.join()
    newer.join()
    assert len(used) == 3, "one of the threads could not"
    print(taken)
"""

# The allocator's own library may need some of it: it is loaded before.
USE_MODULE = TAKE_ALL + """
for needed in sys.argv[4:]:
    ctypes.CDLL(needed)

def use():
    import zmalloc
    before = zmalloc.zmalloc_thread_allocated()
    zmalloc.Block(100_000).close()
    assert zmalloc.zmalloc_thread_allocated() - before >= 100_000

in_threads(use)
"""

USE_LIBRARY = TAKE_ALL + """
def use():
    library = ctypes.CDLL(sys.argv[4])
    for name in ("zmalloc", "zrealloc"):
        getattr(library, name).restype = ctypes.c_void_p
    library.zmalloc_thread_allocated.restype = ctypes.c_size_t
    before = library.zmalloc_thread_allocated()
    block = library.zrealloc(ctypes.c_void_p(library.zmalloc(ctypes.c_size_t(100))), ctypes.c_size_t(100_000))
    library.zfree(ctypes.c_void_p(block))
    assert library.zmalloc_thread_allocated() - before >= 100_000

in_threads(use)
"""


@pytest.fixture(scope="module")
def takers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Libraries that have such storage and need it."""
    if option("b_sanitize") != "none":
        pytest.skip("a sanitizer's malloc is to be the only one")
    folder = tmp_path_factory.mktemp("takers")
    source = folder / "taker.c"
    source.write_text('__attribute__((tls_model("initial-exec"))) _Thread_local char bytes[SIZE];\n'
                      "char *get(void) { return bytes; }\n")  # fmt: skip
    size = LARGEST
    while size >= 8:
        first = folder / f"taker-{size}-0.so"
        run(tool("gcc"), "-fPIC", "-shared", f"-DSIZE={size}", source, "-o", first)
        for number in range(1, MOST):
            (folder / f"taker-{size}-{number}.so").write_bytes(first.read_bytes())
        size //= 2
    return folder


def use_without(script: str, takers: Path, *arguments: Path | str, env: dict[str, str] | None = None) -> int:
    """Runs a script; how many bytes were taken before."""
    return int(run(sys.executable, "-c", script, takers, str(LARGEST), str(MOST), *arguments, env=env))


@pytest.mark.skipif(not (MODULES / "zmalloc" / "__init__.py").exists(), reason="no Python module in this tree")
def test_module_is_loaded_when_there_is_none_left(takers: Path) -> None:
    (module,) = (MODULES / "zmalloc").glob("_zmalloc.*.so")
    needed = re.findall(r"Shared library: \[(.*)\]", run(tool("readelf"), "--dynamic", "--wide", module))
    assert use_without(USE_MODULE, takers, *needed, env={"PYTHONPATH": str(MODULES)}) >= LEAST


@pytest.mark.skipif(not has_private_jemalloc(), reason="without jemalloc in it the library needs some bytes")
@pytest.mark.skipif(option("default_library") == "static", reason="no shared library in this tree")
def test_library_with_jemalloc_is_loaded_when_there_is_none_left(takers: Path) -> None:
    assert use_without(USE_LIBRARY, takers, SHARED) >= LEAST


def test_descriptors_are_called_where_no_vector_register_is_in_use() -> None:
    """glibc up to 2.39 may change them in that call: findings/glibc_tls_descriptors.sh."""
    listing = run(tool("objdump"), "--disassemble", "--reloc", "--no-show-raw-insn", CORE)
    functions = re.split(r"^[0-9a-f]+ <", listing, flags=re.MULTILINE)
    looking = [function for function in functions if "R_X86_64_TLSDESC_CALL" in function]
    if not looking:
        pytest.skip("no descriptors in this tree")
    assert [function.split(">")[0] for function in looking if "%xmm" in function] == []
