# SPDX-License-Identifier: BSD-3-Clause
"""The mappings of a process, one by one, against a plain reading of smaps and against psutil."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import zmalloc

pytestmark = pytest.mark.zmalloc_no_growth

PAGE = os.sysconf("SC_PAGESIZE")
HEADER = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) [0-9a-f]+:[0-9a-f]+ \d+ *(.*)")
FIELD = re.compile(rb"(\w+): +(\d+) kB")


def plain_reading(pid: int) -> list[tuple]:
    """What smaps says, line by line: a line is a mapping's first, or a field that is a size, or of no interest."""
    found: list[tuple] = []
    for line in Path(f"/proc/{pid}/smaps").read_bytes().split(b"\n"):
        if header := HEADER.fullmatch(line):
            begin, end, permissions, offset, path = header.groups()
            path = os.fsdecode(path)
            found.append((int(begin, 16), int(end, 16), int(offset, 16), permissions.decode(), path, {}))
        elif field := FIELD.fullmatch(line):
            found[-1][-1][field[1].decode()] = int(field[2]) * 1024
    return found


def test_all_is_as_the_kernel_writes_it(stopped: int) -> None:
    """Others map the same files, so what is shared changes as they come and go: one reading of many must agree."""
    assert any(plain_reading(stopped) == zmalloc.mappings(stopped) for _ in range(500))
    assert len(zmalloc.mappings(stopped)) > 30


def test_every_kind_is_there(stopped: int) -> None:
    mappings = zmalloc.mappings(stopped)
    paths = [mapping.path for mapping in mappings]
    assert {"[heap]", "[stack]", "", "/dev/zero (deleted)"} <= set(paths)
    assert {"r--p", "r-xp", "rw-p", "rw-s"} <= {mapping.permissions for mapping in mappings}
    names = {path.rpartition("/")[2] for path in paths if "/mapped" in path}
    assert names == {"plain", r"a\012Rss: 888888888 kB\012", " Pss:  8 kB", "\udcff\\012 end ", "-begin"}
    for mapping in mappings:
        assert mapping.begin < mapping.end
        assert mapping.fields["Size"] == mapping.end - mapping.begin
        assert mapping.fields["Rss"] <= mapping.fields["Size"]


def test_dirty_files_and_offsets(stopped: int) -> None:
    mapped = {mapping.offset // 4096: mapping for mapping in zmalloc.mappings(stopped) if "/mapped" in mapping.path}
    assert set(mapped) == {0, 1, 2, 3, 4}
    for number, mapping in mapped.items():
        assert mapping.end - mapping.begin == 8192 * (number + 1)
        assert mapping.fields["Anonymous"] == (PAGE if number % 2 else 0)


def test_what_is_told_is_psutil_s(stopped: int) -> None:
    """Field by field, within a page: the two readings are not one."""

    def agree() -> bool:
        peers = {peer.addr: peer for peer in psutil.Process(stopped).memory_maps(grouped=False)}
        ours = zmalloc.mappings(stopped)
        assert len(peers) == len(ours)
        for mapping in ours:
            peer = peers[f"{mapping.begin:08x}-{mapping.end:08x}"]
            assert peer.perms == mapping.permissions
            path = mapping.path.strip().removesuffix(" (deleted)")
            assert peer.path.removesuffix(" (deleted)") == (path or "[anon]")
            for name in set(peer._fields) - {"addr", "perms", "path"}:
                figure = mapping.fields["_".join(part.capitalize() for part in name.split("_"))]
                if abs(getattr(peer, name) - figure) > PAGE:
                    return False
        return True

    assert any(agree() for _ in range(500))


def test_a_mapping_is_a_named_tuple_of_its_own(stopped: int) -> None:
    first, second, *_ = zmalloc.mappings(stopped)
    assert isinstance(first, zmalloc.Mapping)
    assert tuple(first) == (first.begin, first.end, first.offset, first.permissions, first.path, first.fields)
    assert first.fields is not second.fields
    first.fields["Rss"] = -1  # theirs who asked
    assert second.fields["Rss"] >= 0
    assert all(type(name) is str and type(figure) is int for name, figure in second.fields.items())
    assert next(iter(first.fields)) is next(iter(second.fields))


@pytest.mark.parametrize("pid", [None, -1])
def test_without_a_process_it_is_this_one(pid: int | None) -> None:
    heap = [mapping for mapping in zmalloc.mappings(pid) if mapping.path == "[heap]"]
    own = [mapping for mapping in zmalloc.mappings(os.getpid()) if mapping.path == "[heap]"]
    assert heap[0].begin == own[0].begin


def test_the_highest_addresses() -> None:
    """The kernel's own page for programs, where it has one, lies above what a signed number can say."""
    last = plain_reading(os.getpid())[-1]
    mapping = zmalloc.mappings()[-1]
    assert (mapping.begin, mapping.end) == last[:2]


MANY = """
import mmap
kept = []
for i in range(3000):
    kept.append(mmap.mmap(-1, 4096 * (1 + i % 7), mmap.MAP_PRIVATE, mmap.PROT_READ | i % 2 * mmap.PROT_WRITE))
    if i % 2:
        touched = 4096 * min(1 + i % 3, 1 + i % 7)
        kept[-1][:touched] = bytes(touched)
print("ready", flush=True)
input()
"""


def of_its_own(mappings: list) -> list[tuple]:
    """Without what others change who map the same files."""

    def is_own(field: str) -> bool:
        return not field.startswith(("Pss", "SwapPss", "Shared_", "Private_", "Referenced"))

    return [
        (*mapping[:5], {name: size for name, size in mapping[5].items() if mapping[4] == "" or is_own(name)})
        for mapping in mappings
    ]


def test_many_mappings(stop: Callable[[int], None]) -> None:
    """More than any buffer's worth, each with other figures than its neighbour; and none is lost."""
    with subprocess.Popen([sys.executable, "-c", MANY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            stop(process.pid)
            assert len(zmalloc.mappings(process.pid)) > 2000
            readings = ((plain_reading(process.pid), zmalloc.mappings(process.pid)) for _ in range(20))
            assert any(of_its_own(plain) == of_its_own(ours) for plain, ours in readings)
        finally:
            process.kill()
