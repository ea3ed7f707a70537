# SPDX-License-Identifier: BSD-3-Clause
"""What is said of processes, against other readings of /proc."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
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


def smaps_sums(pid: int) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name, number in re.findall(r"^(\w+): +(\d+) kB$", Path(f"/proc/{pid}/smaps").read_text(), re.MULTILINE):
        sums[name] = sums.get(name, 0) + int(number) * 1024
    return sums


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
    sums = smaps_sums(stopped)
    rollup = Path(f"/proc/{stopped}/smaps_rollup").read_text()
    assert sums["Private_Dirty"] > 5_000_000
    for name, total in sums.items():
        # The rollup has one rounding, smaps one a mapping.
        other = re.search(rf"^{name}: +(\d+) kB$", rollup, re.MULTILINE)
        expected = int(other[1]) * 1024 if other else total
        assert zmalloc.smaps(name, stopped) == expected
        assert zmalloc.smaps(name + ":", stopped) == expected
        assert zmalloc.zmalloc_get_smap_bytes_by_field(name, stopped) == expected
    assert zmalloc.private_dirty(stopped) == sums["Private_Dirty"]
    assert zmalloc.zmalloc_get_private_dirty(stopped) == sums["Private_Dirty"]


def test_all_fields_at_once(stopped: int) -> None:
    rollup = Path(f"/proc/{stopped}/smaps_rollup").read_text()
    numbers = re.findall(r"^(\w+): +(\d+) kB$", rollup, re.MULTILINE)
    assert zmalloc.smaps(pid=stopped) == {name: int(number) * 1024 for name, number in numbers}


@pytest.mark.parametrize("pid", [None, -1])
def test_without_a_process_it_is_this_one(pid: int | None) -> None:
    own = os.getpid()
    assert abs(zmalloc.smaps("Rss", pid) - zmalloc.smaps("Rss", own)) < NEAR
    assert abs(zmalloc.smaps(pid=pid)["Rss"] - zmalloc.smaps("Rss")) < NEAR
    assert abs(zmalloc.private_dirty(pid) - zmalloc.private_dirty(own)) < NEAR
    assert abs(zmalloc.private_dirty() - zmalloc.zmalloc_get_private_dirty()) < NEAR


def test_a_field_that_the_kernel_does_not_have() -> None:
    for name in ("Nonsense", "Rs", "Rsss", "rss", "Rss::", " Rss", "Rss:\n", "ü"):
        with pytest.raises(FileNotFoundError, match="zmalloc_smap_bytes_by_field"):
            zmalloc.smaps(name)
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


def test_somebody_else_s_process() -> None:
    try:
        Path("/proc/1/smaps").read_text()
    except PermissionError:
        for ask in (zmalloc.private_dirty, lambda pid: zmalloc.smaps("Rss", pid), lambda pid: zmalloc.smaps(pid=pid)):
            with pytest.raises(PermissionError):
                ask(1)
    else:
        pytest.skip("process 1 may be read here")


def test_proc_stat() -> None:
    fields = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
    for i in (4, 5, 6, 7, 9, 18, 19, 20, 22, 26, 27, 28, 38):  # those that don't change
        assert zmalloc.get_proc_stat_ll(i) == int(fields[i - 3]), i
    assert zmalloc.get_proc_stat_ll(1) == os.getpid()
    assert abs(zmalloc.get_proc_stat_ll(24) * PAGE - zmalloc.rss()) < NEAR


@pytest.mark.parametrize("i", [-(2**31), -1, 0, 2, 3, 100, 2**31 - 1])
def test_proc_stat_that_is_no_number(i: int) -> None:
    assert zmalloc.get_proc_stat_ll(i) is None
