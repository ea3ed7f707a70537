# SPDX-License-Identifier: BSD-3-Clause
"""src/sources.txt, for tests and the runs by hand: every source with its parts, and what of src/ can't run here.

A listed file that is not there is an error, and so is a source that is not listed. README.md says what tests it.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROW_OF_TESTS = re.compile(r"^\| `([^`]+\.[ch])` \| (.+) \|$", re.M)

OTHER_SYSTEMS = {"allocator:darwin", "os:darwin", "os:freebsd", "os:none"}
# Other systems' sources that the test `region` runs here.
RUN_ANYWHERE = {"src/os/unix/region.c", "src/os/unix/remap.c"}


def parts_of_sources(root: Path = ROOT) -> dict[str, set[str]]:
    """The parts that each source belongs to; its path is that from the project's root."""
    parts: dict[str, set[str]] = {}
    for line in (root / "src" / "sources.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            part, file = line.split()
            parts.setdefault(f"src/{file}", set()).add(part)
    there = {str(path.relative_to(root)) for path in (root / "src").rglob("*.c")}
    if parts.keys() != there:
        raise ValueError(f"src/sources.txt and src/ differ in {sorted(parts.keys() ^ there)}")
    return parts


def sources_elsewhere(root: Path = ROOT) -> set[str]:
    """Those that only other systems' builds have, and that no test runs here."""
    parts = parts_of_sources(root)
    unknown = OTHER_SYSTEMS - set().union(*parts.values()) | RUN_ANYWHERE - parts.keys()
    if unknown:
        raise ValueError(f"src/sources.txt has no {sorted(unknown)}")
    return {file for file, those in parts.items() if those <= OTHER_SYSTEMS} - RUN_ANYWHERE


def files_that_run_here(root: Path = ROOT) -> list[str]:
    """Sources and headers. A header beside a source of its own name goes where that goes."""
    elsewhere = {file.removesuffix(".c") for file in sources_elsewhere(root)}
    files = sorted(str(path.relative_to(root)) for path in (root / "src").rglob("*.[ch]"))
    return [file for file in files if file[:-2] not in elsewhere]


def rows_of_tests(root: Path = ROOT) -> dict[str, list[str]]:
    """The names, or patterns, in each row of README.md's table."""
    rows = ROW_OF_TESTS.finditer((root / "tests" / "README.md").read_text())
    return {f"src/{row[1]}": re.findall("`([^`]+)`", row[2]) for row in rows}
