#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the benchmarks of one or more build directories and prints tables of medians and ratios.

The contenders alternate: each round runs every one of them once, so that a machine whose speed drifts treats all
alike. Times are to be read as ratios; instruction counts do not depend on the machine's mood. psutil is a contender
where it is installed, and so is another one in the folder that the environment variable PSUTIL names.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import blocks
import hints
import in_python
import preloads
import questions
import servers
from instructions import instructions
from libraries import libraries
from measure import Tree

# All but the last are run where none is named: it fetches sources.
SUBJECTS = {
    "instructions": instructions,
    "libraries": libraries,
    "preload": preloads.preload,
    "churn": blocks.churn,
    "threads": blocks.threads,
    "read": blocks.read,
    "footprint": blocks.footprint,
    "keys": blocks.keys,
    "ask": questions.ask,
    "hint": hints.hint,
    "python": in_python.python,
    "processes": in_python.processes,
    "monitor": questions.monitor,
    "programs": preloads.programs,
    "servers": servers.servers,
}


def machine() -> str:
    """The processor's name and number, and the compiler that is the default here."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    compiler = subprocess.run(["cc", "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    return f"{model[1] if model else platform.processor()}, {os.cpu_count()} processors, {compiler}"


def main() -> None:
    """Parses the command line, runs the subjects, prints, and says with --check whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trees", nargs="+", type=Path, metavar="BUILD", help="a build directory")
    parser.add_argument("--subject", action="append", choices=list(SUBJECTS), help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender runs (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--check", action="store_true", help="fail if the instruction counts are past their limits")
    options = parser.parse_args()

    trees = [Tree(folder) for folder in options.trees]
    usual = [tree for tree in trees if tree.has_default_quantum]
    print(f"Machine: {machine()}")
    results = {
        name: SUBJECTS[name](trees if name in ("keys", "servers") else usual, options.rounds)
        for name in options.subject or [name for name in SUBJECTS if name != "servers"]
    }
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine(), "results": results}, indent=2) + "\n")
    if options.check and any("failed" in figures for figures in results.values()):
        sys.exit("the instruction counts are past their limits")


main()
