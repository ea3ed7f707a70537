# SPDX-License-Identifier: BSD-3-Clause
"""What all subjects need: a build directory, its programs run in turn, and tables of what they print."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

# The designs that zmalloc is held against; bench/contender.h describes them.
MODELS = ["atomic", "slots"]
CONTENDERS = ["plain", "zmalloc", *MODELS]

# A folder with another psutil than the interpreter's own, as `pip install --target` makes it; or nothing.
OTHER_PSUTIL = os.environ.get("PSUTIL")

Results = dict[str, dict[str, float]]


class Tree:
    """A build directory and the allocator in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bench = folder / "bench"
        self.module = folder / "bindings" / "python"
        options = json.loads((folder / "meson-info" / "intro-buildoptions.json").read_text())
        values = {option["name"]: option["value"] for option in options}
        allocator = values["allocator"] if values["allocator"] != "auto" else "jemalloc"
        self.allocator = str(allocator)
        kinds = [kind for kind in ("size_prefix", "hardened") if values[kind]]
        self.name = ", ".join([self.allocator, *kinds]).replace("size_prefix", "prefix")
        self.has_default_quantum = values["jemalloc_quantum"] == "16"
        if self.allocator == "jemalloc" and values["jemalloc_version"] != "5.3.0":
            self.name = self.name.replace("jemalloc", f"jemalloc {values['jemalloc_version']}")
        if not self.has_default_quantum:
            self.name += f", quantum {values['jemalloc_quantum']}"

    def has_module(self) -> bool:
        """Whether the Python module was built in it."""
        return (self.module / "zmalloc" / "__init__.py").exists()

    def run(
        self, program: str, *arguments: object, wrapper: Iterable[str] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a benchmark program, with these variables of the environment; what goes wrong ends everything."""
        command = [*wrapper, str(self.bench / program), *map(str, arguments)]
        environment = {**os.environ, "LC_ALL": "C", **variables}
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment)

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


def script(name: str, *arguments: object, folder: Path | None = None) -> str:
    """What a Python script of this folder prints, with a folder of modules of its own."""
    command = [sys.executable, str(Path(__file__).parent / name), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(folder or "")}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


@cache
def psutils() -> dict[str, Path | None]:
    """The psutils that there are, by name and version: the interpreter's own, and the other one."""
    found: dict[str, Path | None] = {}
    for folder in (None, *([Path(OTHER_PSUTIL)] if OTHER_PSUTIL else [])):
        command = [sys.executable, "-c", "import psutil; print(psutil.__version__)"]
        environment = {**os.environ, "PYTHONPATH": str(folder or "")}
        asked = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if asked.returncode == 0:
            found[f"psutil {asked.stdout.strip()}"] = folder
    if not found:
        print("psutil is not installed, and no row is held against it")
    return found
