# SPDX-License-Identifier: BSD-3-Clause
"""Programs that were not built for the library, under each of its libraries for LD_PRELOAD."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from preloads import LIBRARIES, Left, Run, program, under
from tree import ALLOCATOR, BUILD, SOURCE, installed, run, symbols, tool

CALLS = {
    "malloc", "calloc", "realloc", "reallocarray", "free", "cfree", "free_sized", "free_aligned_sized",
    "aligned_alloc", "memalign", "posix_memalign", "valloc", "pvalloc", "malloc_usable_size", "_exit", "_Exit",
}  # fmt: skip
ENDED = {"exit": 1, "quick_exit": 1, "_exit": 2, "_Exit": 2, "handler": 2}
LIMIT = (50 << 20) + (500 << 10)  # the program prints to the end
PYTHON = """
import json, threading
made = []
def make():
    made.append(len(json.dumps([str(i) * 9 for i in range(3000)])))
threads = [threading.Thread(target=make) for _ in "abcd"]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sorted(made), hash(tuple(range(1000))))
"""
SQL = "create table t(a, b); with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)" \
    " insert into t select i, hex(zeroblob(i % 50)) from n; create index x on t(b, a);" \
    " select count(*), sum(length(b)), max(b || a) from t order by b;"  # fmt: skip
REAL = {
    "python3": ["-c", PYTHON],
    "sqlite3": [":memory:", SQL],
    "sort": ["-r", str(SOURCE / "include" / "zmalloc.h")],
    "gcc": ["-O1", "-S", "-o", "-", "-I", str(SOURCE / "include"), "-I", str(SOURCE / "src"),
            '-DZM_ALLOCATOR_HOT_HALF="libc.h"', "-D_GNU_SOURCE", str(SOURCE / "src" / "zmalloc.c")],
    "lua5.4": ["-e", "t = {} for i = 1, 1e5 do t[i] = ('x'):rep(i % 90) end print(#table.concat(t))"],
    "git": ["--no-pager", "diff", "--no-index", "--stat", str(SOURCE / "src"), str(SOURCE / "include")],
}  # fmt: skip


def test_own_allocator_and_libc_are_there() -> None:
    assert {ALLOCATOR, "libc"} <= LIBRARIES.keys()


def test_exports_the_calls_and_nothing_else(library: Path) -> None:
    shown = symbols(library, "--dynamic", "--defined-only")
    operators = {name for name in shown if name.startswith(("_Znw", "_Zna", "_Zdl", "_Zda"))}
    assert shown - operators == CALLS and len(operators) == 20


def test_finds_its_threads_memory_without_a_call(library: Path) -> None:
    """The call may allocate, and so come back to the library."""
    assert "__tls_get_addr" not in symbols(library, "--dynamic", "--undefined-only")
    assert "NODELETE" in run(tool("readelf"), "--dynamic", library)


def test_keeps_to_c_and_posix(library: Path, folder: Path) -> None:
    assert under(library, folder, program("known"), "rules").out == "ok\n"


def test_free_keeps_errno_whatever_the_kernel_refuses(library: Path, folder: Path) -> None:
    at_once = {"MIMALLOC_DECOMMIT_DELAY": "0", "MIMALLOC_PURGE_DELAY": "0"}  # by their names in 2.0 and 3
    said = under(library, folder, program("known"), "refused", **at_once)
    if said.out == "no filter\n":
        pytest.skip("a process can't filter its system calls here")
    assert said.out == "ok\n" and said.left[0].ended == 1


def books(library: Path, folder: Path, *words: str | Path) -> tuple[list[int], list[int]]:
    """Bytes allocated and freed between no rounds and many: as the program has seen them, and as the library has."""
    none, many = (under(library, folder, *words, rounds) for rounds in ("0", "300"))
    seen = list(map(int, many.out.split()))
    assert none.out == "0 0\n" and seen[0] > 100_000
    first, last = none.left[0], many.left[0]
    assert first.ended == last.ended == 1
    counted = [last.total_allocated - first.total_allocated, last.total_freed - first.total_freed]
    assert last.used - first.used == counted[0] - counted[1]
    return seen, counted


def test_books_balance(library: Path, folder: Path) -> None:
    seen, counted = books(library, folder, program("known"), "books")
    assert counted == seen and seen[0] > seen[1]


def test_books_of_operators_balance(library: Path, folder: Path) -> None:
    seen, counted = books(library, folder, program("known_new"))
    assert counted == seen and seen[0] == seen[1]


def test_operators_fail_as_the_standard_has_it(library: Path, folder: Path) -> None:
    assert under(library, folder, program("known_new"), "fail").out == "ok\n"


def test_children_are_told_apart(library: Path, folder: Path) -> None:
    """A child by fork has figures of its own; one by vfork shares its parent's memory, and ends without a word."""
    done = under(library, folder, program("known"), "fork", ZMALLOC_RUN_MILLISECONDS="1")
    assert done.out.endswith("ok\n")
    parent, child = done.left
    assert child.parent == parent.pid and child.pid != parent.pid
    assert parent.ended == child.ended == 1
    assert child.total_allocated > parent.total_allocated + 1000


def check_work(left: Left, milliseconds: int) -> None:
    """It took so long, touched 8 MiB, and had them at its end."""
    assert left.user_us + left.system_us >= milliseconds * 1000
    assert left.minor_faults > 100
    assert left.used >= 8 << 20 and left.peak_used >= left.used
    assert left.peak_rss >= left.rss >= 8 << 20


@pytest.mark.parametrize("how", ENDED)
def test_figures_are_those_of_the_end(library: Path, folder: Path, how: str) -> None:
    """However it ends by itself."""
    done = under(library, folder, program("known"), "end", how)
    assert done.status == 0
    [left] = done.left
    assert left.ended == ENDED[how]
    check_work(left, 50)


def test_process_that_is_killed_or_goes_on_by_exec(library: Path, folder: Path) -> None:
    [killed] = under(library, folder, program("known"), "end", "kill").left
    assert killed.ended == 0
    first, last = under(library, folder, program("known"), "end", "exec", "_exit").left
    assert (first.pid, first.born) == (last.pid, last.born) and first.started_ns < last.started_ns
    assert (first.ended, last.ended) == (0, 2)
    check_work(last, 100)  # what the kernel counts is kept over exec


def test_limit_is_a_full_machines(library: Path, folder: Path) -> None:
    done = under(library, folder, program("known"), "fill", ZMALLOC_RUN_LIMIT=str(LIMIT))
    blocks, error = done.out.split(" ", 1)
    assert error == "Cannot allocate memory\n" and 20 <= int(blocks) <= 50
    [left] = done.left
    assert left.failed == 1 and left.failed_size == 1 << 20
    assert left.peak_used <= LIMIT


def test_soft_limit_is_seen(library: Path, folder: Path) -> None:
    settings = {"ZMALLOC_RUN_LIMIT": str(LIMIT), "ZMALLOC_RUN_SOFT_LIMIT": str(10 << 20)}
    assert under(library, folder, program("known"), "fill", **settings).left[0].soft_passed == 1


@pytest.mark.parametrize("name", REAL)
def test_real_program(library: Path, folder: Path, name: str) -> None:
    words = [sys.executable if name == "python3" else tool(name), *REAL[name]]
    plain = subprocess.run(words, capture_output=True, text=True, timeout=120, env=os.environ | {"LC_ALL": "C.UTF-8"})
    settings = {"PYTHONHASHSEED": "0", "ZMALLOC_RUN_MILLISECONDS": "5"}
    done = under(library, folder, *words, **settings)
    assert (done.out, done.err, done.status) == (plain.stdout, plain.stderr, plain.returncode)
    pid = done.left[0].numbers["pid"]
    images = [left for left in done.left if left.numbers["pid"] == pid]  # a wrapper of gcc becomes it
    assert max(left.total_allocated for left in images) > 1000 and sum(left.ended == 1 for left in images) == 1
    assert all(left.elsewhere == 0 for left in done.left)


def test_short_children(library: Path, folder: Path) -> None:
    """A shell's commands, each with its own figures."""
    script = "i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i + 1)); done; echo done"
    done = under(library, folder, "/bin/sh", "-c", script, ZMALLOC_RUN_MILLISECONDS="100")
    assert done.out == "done\n" and done.err == ""
    children = [left for left in done.left if left.program == "true"]
    assert len(children) == 100 and all(left.ended == 1 for left in children)


def test_says_who_else_answers(folder: Path) -> None:
    """Of two, the first is asked; the second says that it is not."""
    if len(LIBRARIES) < 2:
        pytest.skip("only one library here")
    first, second = list(LIBRARIES.values())[:2]
    done = under(f"{first} {second}", folder, program("known"), "rules")
    assert done.out == "ok\n"
    assert sorted(left.elsewhere for left in done.left) == [0, 0b111111]


LOADED = """
import ctypes, sys
other = ctypes.CDLL(sys.argv[1])
other.malloc.restype, other.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
for size in [*range(1, 3000, 7), 1 << 20]:
    theirs = [other.malloc(ctypes.c_size_t(size)) for _ in range(20)]
    ours = [bytes(size) for _ in range(20)]
    for block in theirs:
        ctypes.memset(block, 1, size)
        other.free(block)
    assert ours == [bytes(size)] * 20
print("done")
"""


@pytest.mark.parametrize("other", ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.[23]*"])
def test_beside_a_loaded_allocator(library: Path, folder: Path, other: str) -> None:
    """That a program loads, and calls by what it has found in it. What the program allocates stays ours."""
    room = {"GLIBC_TUNABLES": "glibc.rtld.optional_static_tls=16384", "PYTHONMALLOC": "malloc"}
    done = under(library, folder, sys.executable, "-c", LOADED, installed(other), **room)
    assert (done.out, done.err, done.status) == ("done\n", "", 0)
    assert done.left[0].elsewhere == 0 and done.left[0].total_allocated > 20 << 20


def test_under_a_program_that_loads_our_library(library: Path, folder: Path) -> None:
    """With an allocator of its own in it, or with the one that is preloaded; from threads that run already."""
    done = under(library, folder, program("host"), BUILD / "src" / "libzmalloc.so.0.2")
    assert (done.out, done.err, done.status) == ("done\n", "", 0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """That others may search."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def untouched(done: Run) -> bool:
    return done.out == "0 0\n" and done.left == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a program other rights than its caller's")
def test_programs_with_other_rights_are_untouched(library: Path, open_folder: Path) -> None:
    copy = open_folder / "known"
    shutil.copy(program("known"), copy)
    shutil.chown(copy, "nobody")
    copy.chmod(stat.S_ISUID | 0o755)
    if os.statvfs(copy).f_flag & os.ST_NOSUID:
        pytest.skip("a mount without set-user-ID programs")
    assert untouched(under(library, open_folder / "left", copy, "books", "0"))


def test_static_programs_are_untouched(library: Path, folder: Path, tmp_path: Path) -> None:
    static = tmp_path / "static"
    source = SOURCE / "tests" / "programs" / "known.c"
    command = [tool("gcc"), "-static", "-D_GNU_SOURCE", "-o", str(static), str(source)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("no static C library here")
    assert untouched(under(library, folder, static, "books", "0"))
