# SPDX-License-Identifier: BSD-3-Clause
"""Asked again and again, and out of memory at every step, nothing is left behind: no descriptor, no memory."""

from __future__ import annotations

import errno
import gc
import os
import sys
import sysconfig
from collections.abc import Callable

import pytest
import zmalloc

_testcapi = pytest.importorskip("_testcapi", reason="this Python can't have its own allocations fail")

pytestmark = pytest.mark.zmalloc_no_growth

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def fails(ask: Callable[[], object]) -> Callable[[], object]:
    def attempt() -> None:
        with pytest.raises(OSError, match="(smaps|mappings|rss): "):
            ask()

    return attempt


def try_call(ask: Callable[[], object]) -> Callable[[], object]:
    """The call, on an allocator that may not have it."""

    def attempt() -> None:
        try:
            ask()
        except OSError:
            pass

    return attempt


# Calls, and how often.
CALLS = {
    "rss": (zmalloc.rss, 3000),
    "rss of another": (lambda: zmalloc.rss(1), 3000),
    "private_dirty": (zmalloc.private_dirty, 1000),
    "smaps": (zmalloc.smaps, 1000),
    "mappings": (zmalloc.mappings, 500),
    "report": (zmalloc.report, 3000),
    "report with the walk": (lambda: zmalloc.report(walk=True), 1000),
    "memory_limits": (zmalloc.memory_limits, 2000),
    "memory_limit": (zmalloc.memory_limit, 2000),
    "memory_size": (zmalloc.memory_size, 3000),
    "thp": (zmalloc.thp, 3000),
    "purge": (zmalloc.purge, 500),
    "allocator_info": (zmalloc.allocator_info, 3000),
    "decay": (try_call(zmalloc.decay), 3000),
    "background_thread": (try_call(zmalloc.background_thread), 3000),
    "smaps of a field that nobody has": (fails(lambda: zmalloc.smaps("Nope")), 300),
    "smaps of nobody": (fails(lambda: zmalloc.smaps(pid=2**40)), 1000),
    "mappings of nobody": (fails(lambda: zmalloc.mappings(2**40)), 1000),
    "rss of nobody": (fails(lambda: zmalloc.rss(2**40)), 1000),
}


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def repeat(ask: Callable[[], object], times: int) -> None:
    for _ in range(times):
        ask()


@pytest.mark.parametrize("name", CALLS)
def test_calls_leave_nothing(name: str) -> None:
    ask, times = CALLS[name]
    repeat(ask, times // 10)
    gc.collect()
    files, resident = descriptors(), zmalloc.rss()
    objects = sys.getallocatedblocks()
    repeat(ask, times)
    gc.collect()
    assert sys.getallocatedblocks() - objects < times // 10
    assert descriptors() == files
    assert zmalloc.rss() - resident < 1 << 20


BUILT = ("rss", "smaps", "mappings", "report", "memory_limits", "allocator_info")
BUILDERS = {name: CALLS[name][0] for name in BUILT}


def fail_at(ask: Callable[[], object], request: int) -> bool:
    _testcapi.set_nomemory(request, request + 1)
    try:
        ask()
    except MemoryError:
        return True
    finally:
        _testcapi.remove_mem_hooks()
    return False


def fail_everywhere(ask: Callable[[], object]) -> int:
    """The first, then the second, then the third request for memory fails, and so on until none does."""
    failures = request = 0
    while fail_at(ask, request):
        failures += 1
        request += 1 + failures // 100  # not every one of thousands
    return failures


@pytest.mark.skipif(FREE_THREADED, reason="Python 3.13t itself frees memory twice when a new list gets none")
@pytest.mark.parametrize("name", BUILDERS)
def test_python_s_memory_may_end_anywhere(name: str) -> None:
    ask = BUILDERS[name]
    failures = fail_everywhere(ask)
    kept = name == "rss" and sys.version_info >= (3, 14)  # it makes an int, and Python keeps some of those for reuse
    assert failures > 0 or kept
    gc.collect()
    files = descriptors()
    objects = sys.getallocatedblocks()
    for _ in range(4):
        fail_everywhere(ask)
    gc.collect()
    assert sys.getallocatedblocks() - objects < 4
    assert descriptors() == files


@pytest.mark.parametrize("room", [0, 1, 4, 8])
def test_the_process_s_memory_may_end(room: int, script: Callable) -> None:
    """So many MiB are left for the mappings of a process that has 10,000: for C's part, or for some of Python's."""
    if FREE_THREADED and room > 4:
        pytest.skip("Python 3.13t itself has addresses in reserve")
    result = script(
        "import ctypes, mmap, os, resource\n"
        "libc = ctypes.CDLL(None)\n"
        "memory = mmap.mmap(-1, 4096 * 10_000, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "base = ctypes.addressof(ctypes.c_char.from_buffer(memory))\n"
        "for i in range(0, 10_000, 2):\n"
        "    assert libc.mprotect(ctypes.c_void_p(base + 4096 * i), 4096, 1) == 0\n"
        "assert open('/proc/self/maps').read().count('\\n') > 10_000\n"
        "files = os.listdir('/proc/self/fd')\n"
        "size = zmalloc.get_proc_stat_ll(23)\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (size + ({room} << 20), -1))\n"
        "try: print(len(zmalloc.mappings()))\n"
        "except MemoryError as error: print('MemoryError', error)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))\n"
        "assert len(zmalloc.mappings()) > 10_000\n"
        "assert os.listdir('/proc/self/fd') == files\n"
    )
    text = f"mappings: {os.strerror(errno.ENOMEM)}" if room <= 4 else ""
    assert (result.returncode, result.stdout) == (0, f"MemoryError {text}\n"), result.stderr
