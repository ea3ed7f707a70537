# SPDX-License-Identifier: BSD-3-Clause
"""Texts that people write: how long a line may be, and names that were given up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(os.environ["ZMALLOC_SOURCE"])
ITSELF = Path(__file__).name

MOST_COLUMNS = 118  # as .editorconfig says
LEFT_OUT = re.compile(
    r"build|\.(?!ci$|clang|editorconfig|luacheckrc)"  # what is built or is not ours
    r"|subprojects/(?!packagefiles$|packagefiles/|\w+\.wrap$)"  # other projects, unpacked
    r"|subprojects/packagefiles/.*\.patch$"  # their lines
    r"|tests/recorded$"
    r"|tests/hostile\.txt$"  # a table
    r"|LICENSE$"
)
LONG_ON_PURPOSE = re.compile(r"https?://\S+|\b[0-9a-f]{64}\b")  # can't be broken

# Words that this project once had for what the field calls otherwise.
GIVEN_UP = {
    "follower": "thread counters, readers",
    "detour": "gate, slow path",
    "short way": "fast path",
    "long way": "slow path",
    "insist_on": "allocate_or_oom",
    "zm_share": "zm_quota",
    "linux_only": "not_linux",
}


def texts(folder: Path = SOURCE) -> Iterator[tuple[str, str]]:
    """(path from the sources' root, text)."""
    for path in sorted(folder.iterdir()):
        name = path.relative_to(SOURCE).as_posix()
        if LEFT_OUT.match(name) or "__pycache__" in name or path.is_symlink():
            continue
        if path.is_dir():
            yield from texts(path)
            continue
        try:
            yield name, path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # no text, or another test's for a moment
            continue


TEXTS = dict(texts())


def test_these_are_the_sources() -> None:
    assert {"README.md", "Makefile", "src/zmalloc.c", "include/zmalloc.h", ".clang-tidy"} <= TEXTS.keys()
    assert {"bindings/python/zmalloc/__init__.py", "docs/index.rst", "subprojects/jemalloc.wrap"} <= TEXTS.keys()
    assert len(TEXTS) > 200


def test_no_line_is_too_long() -> None:
    too_long = [
        f"{name}:{number}: {len(line)} columns"
        for name, text in TEXTS.items()
        for number, line in enumerate(text.split("\n"), 1)
        if len(line) > MOST_COLUMNS and not LONG_ON_PURPOSE.search(line)
    ]
    assert too_long == []


@pytest.mark.parametrize("word", GIVEN_UP)
def test_a_name_that_was_given_up_is_nowhere(word: str) -> None:
    pattern = re.compile(rf"(?<![a-z]){word.replace(' ', chr(92) + 's+')}s?(?![a-z])", re.IGNORECASE)
    found = [name for name, text in TEXTS.items() if not name.endswith(ITSELF) and pattern.search(text)]
    assert found == [], f"say: {GIVEN_UP[word]}"


def goals() -> list[str]:
    """What `make help` lists, with a build variant in the pattern's place."""
    return [goal.replace("%", "libc") for goal in re.findall(r"^([a-z%-]+):.*## ", TEXTS["Makefile"], re.MULTILINE)]


@pytest.mark.parametrize("refused", ["", "3.0.1"], ids=["all", "mimalloc-refused"])
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_all_that_make_runs_is_shell(refused: str) -> None:
    """The shell only parses it: `make -n` would run the lines that call make again."""
    assert {"test", "demo", "test-libc", "soak"} <= set(goals())
    outside_make = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    for goal in goals():
        parsed = subprocess.run(
            ["make", "-C", SOURCE, "SHELL=/bin/sh", ".SHELLFLAGS=-nc", goal, f"BROKEN_MIMALLOC={refused}"],
            env=outside_make, check=False, capture_output=True, text=True, timeout=60,
        )
        assert (parsed.returncode, parsed.stderr) == (0, ""), f"make {goal}"
