# SPDX-License-Identifier: BSD-3-Clause
"""What is said of processes, against other readings of /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import zmalloc

PAGE = os.sysconf("SC_PAGESIZE")
NEAR = 2 << 20  # what a running interpreter may gain between two readings


def kernel_sums(pid: int) -> dict[str, int]:
    """The rollup's figures, and the sums of smaps where the rollup has none."""
    sums: dict[str, int] = {}
    for file in ("smaps", "smaps_rollup"):
        of_file: dict[str, int] = {}
        text = Path(f"/proc/{pid}/{file}").read_text(errors="surrogateescape")
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


# Names that are near a field's.
MEANT = {name: ": did you mean 'Rss'?" for name in ("rss", "Rss::", " Rss", "Rss:\n")}
MEANT |= {"private dirty": ": did you mean 'Private_Dirty'?"}


def test_a_field_that_the_kernel_does_not_have() -> None:
    for name in ("Nonsense", "Rs", "Rsss", "rss", "Rss::", " Rss", "Rss:\n", "ü", "private dirty"):
        with pytest.raises(FileNotFoundError) as caught:
            zmalloc.smaps(name)
        assert caught.value.strerror == f"smaps: no field '{name}'" + MEANT.get(name, "")
        assert zmalloc.zmalloc_get_smap_bytes_by_field(name) == 0


@pytest.mark.parametrize("name", ["Rss", "Private_Dirty", "Shared_Clean", "Swap", "Anonymous", "Referenced"])
def test_a_field_is_the_sum_of_its_name_in_the_mappings(stopped: int, name: str) -> None:
    assert any(
        abs(sum(mapping.fields[name] for mapping in zmalloc.mappings(stopped)) - zmalloc.smaps(name, stopped)) <= PAGE
        for _ in range(100)
    )


def test_rss_of_another_process(stopped: int) -> None:
    pages = int(Path(f"/proc/{stopped}/statm").read_text().split()[1])
    assert zmalloc.rss(stopped) == zmalloc.zmalloc_process_rss(stopped) == pages * PAGE
    assert abs(zmalloc.rss() - zmalloc.rss(os.getpid())) < NEAR
    assert zmalloc.rss(1) > 0


def test_figures_are_psutil_s(stopped: int) -> None:
    peer = psutil.Process(stopped)
    assert abs(zmalloc.rss(stopped) - peer.memory_info().rss) <= PAGE

    def agree() -> bool:
        full, sums = peer.memory_full_info(), zmalloc.smaps(pid=stopped)
        ours = sums["Private_Clean"] + sums["Private_Dirty"] + sums["Private_Hugetlb"], sums["Pss"], sums["Swap"]
        return all(abs(a - b) <= PAGE for a, b in zip(ours, (full.uss, full.pss, full.swap)))

    assert any(agree() for _ in range(100))
    assert zmalloc.memory_size() == psutil.virtual_memory().total


def test_proc_stat() -> None:
    fields = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
    for i in (4, 5, 6, 7, 9, 18, 19, 20, 22, 26, 27, 28, 38):  # those that don't change
        assert zmalloc.get_proc_stat_ll(i) == int(fields[i - 3]), i
    assert zmalloc.get_proc_stat_ll(1) == os.getpid()
    assert abs(zmalloc.get_proc_stat_ll(24) * PAGE - zmalloc.rss()) < NEAR


@pytest.mark.parametrize("i", [-(2**31), -1, 0, 2, 3, 100, 2**31 - 1])
def test_proc_stat_that_is_no_number(i: int) -> None:
    assert zmalloc.get_proc_stat_ll(i) is None
