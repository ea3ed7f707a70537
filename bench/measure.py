# SPDX-License-Identifier: BSD-3-Clause
"""What all subjects need: a build directory, its programs run in turn, and tables of what they print."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Iterable
from pathlib import Path

# The designs that zmalloc is held against; bench/contender.h describes them.
MODELS = ["atomic", "slots"]
CONTENDERS = ["plain", "zmalloc", *MODELS]

Results = dict[str, dict[str, float]]


class Tree:
    """A build directory and the allocator in it."""

    def __init__(self, folder: Path) -> None:
        self.bench = folder / "bench"
        self.module = folder / "bindings" / "python"
        options = json.loads((folder / "meson-info" / "intro-buildoptions.json").read_text())
        values = {option["name"]: option["value"] for option in options}
        allocator = values["allocator"] if values["allocator"] != "auto" else "jemalloc"
        self.allocator = str(allocator)
        kinds = [kind for kind in ("size_prefix", "hardened") if values[kind]]
        self.name = ", ".join([self.allocator, *kinds]).replace("size_prefix", "prefix")

    def has_module(self) -> bool:
        """Whether the Python module was built in it."""
        return (self.module / "zmalloc" / "__init__.py").exists()

    def run(self, program: str, *arguments: object, wrapper: Iterable[str] = ()) -> subprocess.CompletedProcess[str]:
        """Runs a benchmark program; what goes wrong ends everything."""
        command = [*wrapper, str(self.bench / program), *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})

    def figure(self, program: str, *arguments: object) -> float:
        """The one number that a program prints."""
        return float(self.run(program, *arguments).stdout)


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Prints a Markdown table."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "|".join("---" if i == 0 else "--:" for i in range(len(columns))) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def alternate(runs: dict[str, tuple[Tree, list[object]]], rounds: int) -> dict[str, float]:
    """The median figure of each run, all of them run once a round."""
    figures: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (tree, command) in runs.items():
            figures[name].append(tree.figure(str(command[0]), *command[1:]))
    return {name: statistics.median(values) for name, values in figures.items()}
