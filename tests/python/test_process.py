# SPDX-License-Identifier: BSD-3-Clause
"""What is said of processes, against other readings of /proc."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmalloc

PAGE = os.sysconf("SC_PAGESIZE")
NEAR = 2 << 20  # what a running interpreter may gain between two readings


@pytest.fixture
def stopped() -> Iterator[int]:
    """A process of ours that has memory and stands still, so that two readings must agree to the byte."""
    code = "data = bytearray(5_000_000); print(len(data), flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0] != "T":
        time.sleep(0.01)
    yield process.pid
    process.kill()
    process.communicate()


def kernel_sums(pid: int) -> dict[str, int]:
    """The rollup's figures, and the sums of smaps where the rollup has none."""
    sums: dict[str, int] = {}
    for file in ("smaps", "smaps_rollup"):
        of_file: dict[str, int] = {}
        text = Path(f"/proc/{pid}/{file}").read_text()
        for name, number in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE):
            of_file[name] = of_file.get(name, 0) + int(number) * 1024
        sums |= of_file
    return sums


def agrees(pid: int, ask: Callable[[], object], expected: Callable[[dict[str, int]], object]) -> bool:
    """Others map the same files, so what is shared changes as they come and go: one reading of many must agree."""
    return any(expected(kernel_sums(pid)) == ask() for _ in range(100))


def test_rss() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert abs(zmalloc.rss() - pages * PAGE) < NEAR
    assert abs(zmalloc.zmalloc_get_rss() - pages * PAGE) < NEAR
    assert zmalloc.rss() % PAGE == 0


def test_rss_follows_what_is_touched() -> None:
    before = zmalloc.rss()
    with zmalloc.zmalloc(32 << 20) as block:
        block[:] = b"x" * len(block)
        assert zmalloc.rss() - before > 30 << 20


def test_memory_size() -> None:
    assert zmalloc.memory_size() == os.sysconf("SC_PHYS_PAGES") * PAGE
    assert zmalloc.zmalloc_get_memory_size() == zmalloc.zmalloc_memory_size() == zmalloc.memory_size()


def test_every_field_of_a_process_that_stands_still(stopped: int) -> None:
    sums = kernel_sums(stopped)
    assert {"Rss", "Pss", "Private_Dirty", "Swap", "Size"} <= set(sums)
    assert sums["Private_Dirty"] > 5_000_000
    for ask in (zmalloc.smaps, zmalloc.zmalloc_smap_bytes_by_field, zmalloc.zmalloc_get_smap_bytes_by_field):
        assert agrees(stopped, lambda: {name: ask(name, stopped) for name in sums}, lambda sums: sums)
        assert agrees(stopped, lambda: {name: ask(name + ":", stopped) for name in sums}, lambda sums: sums)
    for ask in (zmalloc.private_dirty, zmalloc.zmalloc_private_dirty, zmalloc.zmalloc_get_private_dirty):
        assert agrees(stopped, lambda: ask(stopped), lambda sums: sums["Private_Dirty"])


def test_all_fields_at_once(stopped: int) -> None:
    rollup = Path(f"/proc/{stopped}/smaps_rollup").read_text()
    names = set(re.findall(r"^(\w+): ", rollup, re.MULTILINE))
    assert len(names) > 15
    assert agrees(stopped, lambda: zmalloc.smaps(pid=stopped), lambda sums: {name: sums[name] for name in names})


@pytest.mark.parametrize("pid", [None, -1])
def test_without_a_process_it_is_this_one(pid: int | None) -> None:
    own = os.getpid()
    assert abs(zmalloc.smaps("Rss", pid) - zmalloc.smaps("Rss", own)) < NEAR
    assert abs(zmalloc.smaps(pid=pid)["Rss"] - zmalloc.smaps("Rss")) < NEAR
    assert abs(zmalloc.private_dirty(pid) - zmalloc.private_dirty(own)) < NEAR
    assert abs(zmalloc.private_dirty() - zmalloc.zmalloc_get_private_dirty()) < NEAR


def test_a_field_that_the_kernel_does_not_have() -> None:
    for name in ("Nonsense", "Rs", "Rsss", "rss", "Rss::", " Rss", "Rss:\n", "ü"):
        with pytest.raises(FileNotFoundError) as caught:
            zmalloc.smaps(name)
        assert caught.value.strerror == f"zmalloc_smap_bytes_by_field: no field '{name}'"
        assert zmalloc.zmalloc_get_smap_bytes_by_field(name) == 0


def test_a_process_that_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    for pid in (process.pid, process.pid, 2**40, 2**62):  # a zombie; then it is gone
        for ask in (zmalloc.private_dirty, lambda pid: zmalloc.smaps("Rss", pid), lambda pid: zmalloc.smaps(pid=pid)):
            with pytest.raises(ProcessLookupError) as caught:
                ask(pid)
            assert "zmalloc_" in caught.value.strerror
        assert zmalloc.zmalloc_get_private_dirty(pid) == 0
        process.wait()


def check_refused(pid: int) -> None:
    for ask in (zmalloc.private_dirty, lambda pid: zmalloc.smaps("Rss", pid), lambda pid: zmalloc.smaps(pid=pid)):
        with pytest.raises(PermissionError):
            ask(pid)


def test_somebody_else_s_process() -> None:
    if os.geteuid() != 0:
        check_refused(1)
        return
    child = os.fork()
    if child == 0:  # root may read everything, so a child becomes nobody and asks for this process
        try:
            os.setuid(65534)
            check_refused(os.getppid())
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_proc_stat() -> None:
    fields = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
    for i in (4, 5, 6, 7, 9, 18, 19, 20, 22, 26, 27, 28, 38):  # those that don't change
        assert zmalloc.get_proc_stat_ll(i) == int(fields[i - 3]), i
    assert zmalloc.get_proc_stat_ll(1) == os.getpid()
    assert abs(zmalloc.get_proc_stat_ll(24) * PAGE - zmalloc.rss()) < NEAR


@pytest.mark.parametrize("i", [-(2**31), -1, 0, 2, 3, 100, 2**31 - 1])
def test_proc_stat_that_is_no_number(i: int) -> None:
    assert zmalloc.get_proc_stat_ll(i) is None
