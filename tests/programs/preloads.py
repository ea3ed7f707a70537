# SPDX-License-Identifier: BSD-3-Clause
"""The libraries for LD_PRELOAD that this tree has built, and what a process leaves that ran under one."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tree import BUILD

FILES = sorted((BUILD / "src" / "preload").glob("libzmalloc-preload-*.so"))
LIBRARIES = {path.stem.split("-")[-1]: path for path in FILES}
PROGRAMS = BUILD / "tests" / "programs"
NUMBERS = (
    "magic version size pid parent born started_ns elsewhere sequence updated_ns ended used allocated active "
    "resident rss peak_used peak_rss total_allocated total_freed user_us system_us minor_faults major_faults failed "
    "failed_size soft_passed"
).split()
PAGE = struct.Struct(f"=32s32s{len(NUMBERS)}Q")


@dataclass
class Left:
    """What a process image left behind."""

    allocator: str
    program: str
    numbers: dict[str, int]

    def __getattr__(self, name: str) -> int:
        return self.numbers[name]


def read(file: Path) -> Left:
    allocator, program, *numbers = PAGE.unpack_from(file.read_bytes())
    texts = [text.rstrip(b"\0").decode() for text in (allocator, program)]
    left = Left(*texts, dict(zip(NUMBERS, numbers)))
    assert left.size == PAGE.size and left.sequence % 2 == 0
    return left


@dataclass
class Run:
    """What a program said, and what its processes left, by their names and in the order of their starts."""

    out: str
    err: str
    status: int
    left: list[Left]

    def of(self, program: str) -> Left:
        found = [left for left in self.left if left.program == program]
        assert len(found) == 1, self.left
        return found[0]


def under(library: Path | str, folder: Path, *words: str | Path, **settings: str) -> Run:
    """Runs a program under a library, in an environment that is the same each time."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    env = {"PATH": os.environ["PATH"], "LD_PRELOAD": str(library), "ZMALLOC_RUN_FOLDER": str(folder), **settings}
    env["LC_ALL"] = "C.UTF-8"
    done = subprocess.run([str(word) for word in words], env=env, capture_output=True, text=True, timeout=600)
    left = sorted(map(read, folder.iterdir()), key=lambda each: each.started_ns)
    return Run(done.stdout, done.stderr, done.returncode, left)


def program(name: str) -> Path:
    """One of this tree's."""
    if not (PROGRAMS / name).exists():
        pytest.skip(f"{name} was not built: no C++ compiler here")
    return PROGRAMS / name
