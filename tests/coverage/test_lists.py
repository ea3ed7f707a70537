# SPDX-License-Identifier: BSD-3-Clause
"""What coverage leaves out, and why: files and lines that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from report import read_left, stale
from run import HERE, ROOT, elsewhere
from sources import parts_of_sources, sources_elsewhere

LEFT = """a.c
- reached now and then
- gone
for two reasons

b.c
- of a file that is gone
no
"""

SOURCES = """# why
core       core.c
os:linux   os/linux/linux.c
os:darwin  os/both.c
os:linux   os/both.c
os:darwin  os/unix/region.c
os:darwin  os/unix/remap.c
os:freebsd os/freebsd.c
os:none    os/none.c
allocator:darwin darwin.c
"""


def write_sources(root: Path) -> None:
    for line in SOURCES.splitlines()[1:]:
        file = root / "src" / line.split()[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (root / "src" / "sources.txt").write_text(SOURCES)


def test_a_source_that_only_other_systems_have_is_elsewhere(tmp_path: Path) -> None:
    write_sources(tmp_path)
    assert sources_elsewhere(tmp_path) == {"src/os/freebsd.c", "src/os/none.c", "src/darwin.c"}


def test_the_list_and_the_folder_have_the_same_sources(tmp_path: Path) -> None:
    write_sources(tmp_path)
    (tmp_path / "src" / "core.c").rename(tmp_path / "src" / "renamed.c")
    with pytest.raises(ValueError, match=r"differ in \['src/core.c', 'src/renamed.c'\]"):
        parts_of_sources(tmp_path)


def test_a_part_of_another_system_that_no_source_has(tmp_path: Path) -> None:
    write_sources(tmp_path)
    (tmp_path / "src" / "sources.txt").write_text(SOURCES.replace("os:none", "os:zero"))
    with pytest.raises(ValueError, match="has no .*os:none"):
        sources_elsewhere(tmp_path)


def test_a_reason_without_its_line_is_stale(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("    reached now and then\n")
    (tmp_path / "list").write_text(LEFT)
    left = read_left(tmp_path / "list")
    assert left["a.c", "gone"] == "for two reasons"
    assert stale(tmp_path, left) == [("a.c", "gone"), ("b.c", "of a file that is gone")]


def test_reasons_are_about_files_that_are_there() -> None:
    names = {name for name, _ in read_left(HERE / "left.txt")}
    assert len(names) > 20
    assert {name for name in names if not (ROOT / name).is_file()} == set()
    assert names & sources_elsewhere() == set()


def test_no_reason_is_stale() -> None:
    assert stale(ROOT, read_left(HERE / "left.txt")) == []


def test_what_is_excluded_is_there() -> None:
    patterns = [re.compile(option.removeprefix("--exclude=")) for option in elsewhere()]
    excluded = {file for file in parts_of_sources() if any(pattern.match(str(ROOT / file)) for pattern in patterns)}
    assert excluded == sources_elsewhere() and len(excluded) == len(patterns) > 3
