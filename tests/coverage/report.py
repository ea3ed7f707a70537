# SPDX-License-Identifier: BSD-3-Clause
"""Branches and lines that the tests reach, a file at a time, from what gcovr has merged; and why the others are left.

Fails if fewer branches are reached than is asked for.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


@dataclass
class File:
    name: str
    lines: int = 0
    lines_reached: int = 0
    branches: int = 0
    branches_reached: int = 0
    missing: dict[int, str] = field(default_factory=dict)  # by line, what is missing

    def add(self, line: dict[str, Any]) -> None:
        if line.get("gcovr/noncode"):
            return
        branches = [branch for branch in line["branches"] if not branch.get("throw")]
        taken = sum(branch["count"] > 0 for branch in branches)
        self.lines += 1
        self.lines_reached += line["count"] > 0
        self.branches += len(branches)
        self.branches_reached += taken
        if line["count"] == 0:
            self.missing[line["line_number"]] = "never run"
        elif taken < len(branches):
            self.missing[line["line_number"]] = f"{taken} of {len(branches)} branches"


def read_files(path: Path) -> list[File]:
    files = []
    for one in json.loads(path.read_text())["files"]:
        file = File(one["file"])
        for line in one["lines"]:
            file.add(line)
        files.append(file)
    return sorted(files, key=lambda file: file.name)


def read_left(path: Path) -> dict[tuple[str, str], str]:
    """(file, line) and the reason: a paragraph each, the file, "- " and the line (once or more), the reason."""
    left = {}
    for paragraph in path.read_text().split("\n\n"):
        lines = [line for line in paragraph.strip().split("\n") if line and not line.startswith("#")]
        named = [line[2:] for line in lines if line.startswith("- ")]
        reason = " ".join(line for line in lines[1:] if not line.startswith("- "))
        if lines and not (named and reason):
            raise ValueError(f"{path}: not a file, its lines and a reason:\n{paragraph}")
        left.update({(lines[0], line): reason for line in named})
    return left


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:5.1f} %" if whole else "      -"


def print_table(files: list[File]) -> None:
    print(f"{'file':36} {'lines':>13}  {'':7} {'branches':>13}")
    for file in files:
        print(
            f"{file.name:36} {file.lines_reached:5} of {file.lines:4}  {share(file.lines_reached, file.lines)} "
            f"{file.branches_reached:5} of {file.branches:4}  {share(file.branches_reached, file.branches)}"
        )


def print_missing(files: list[File], left: dict[tuple[str, str], str]) -> None:
    for file in files:
        texts = (ROOT / file.name).read_text().splitlines()
        for number, what in file.missing.items():
            text = texts[number - 1].strip()
            reason = left.get((file.name, text), "NO REASON IS GIVEN")
            print(f"\n{file.name}:{number}: {what}\n    {text}\n    {reason}")


def stale(root: Path, left: dict[tuple[str, str], str]) -> list[tuple[str, str]]:
    """Lines that are gone. Those that are reached after all are not: some are in one run and not in the next."""
    files = {name: (root / name).read_text() if (root / name).is_file() else "" for name, _ in left}
    lines = {name: {line.strip() for line in text.splitlines()} for name, text in files.items()}
    return [(name, line) for name, line in left if line not in lines[name]]


def report(merged: Path, left_path: Path, least: float) -> int:
    files = read_files(merged)
    left = read_left(left_path)
    print_missing(files, left)
    print()
    print_table([file for file in files if file.lines])
    branches = sum(file.branches for file in files)
    reached = sum(file.branches_reached for file in files)
    lines = sum(file.lines for file in files)
    lines_reached = sum(file.lines_reached for file in files)
    print(f"\nlines: {share(lines_reached, lines)}, branches: {share(reached, branches)}")
    print(f"figure: {reached} branches reached\nfigure: {branches - reached} branches not reached")
    if 100 * reached < least * branches:
        print(f"fewer than {least} % of the branches are reached", file=sys.stderr)
        return 1
    return 0
