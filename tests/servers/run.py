# SPDX-License-Identifier: BSD-3-Clause
"""Builds servers with their own memory layer and on zmalloc, and compares what they do.

Usage: run.py [--servers NAME,…] [--layers NAME,…] [--parts instructions,memory,speed,suites] [--units GLOB,…]
[--rounds N] [--jobs N] [--json FILE] [--short]. The status is 1 if a test fails on zmalloc, twice, that passes on the
server's own layer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from builds import FOLDER, LAYERS, SERVERS, Build, build
from compare import CAUSES, Run, tell
from figures import FIGURES, memory, speed
from measure import table
from profile_of import WORKLOADS, profile
from suites import SHORT_UNITS, UNITS, Outcome, run_again, run_suites

PORT = 30990

# The short form: what stands in for a server of each kind.
SHORT = [("redis-7.0", ("own", "quantum8")), ("valkey-9.1", ("own", "quantum8"))]


def suites(builds: list[Build], patterns: list[str], jobs: int) -> tuple[dict[str, Any], bool]:
    """Which tests pass on each, and whether one fails on zmalloc alone and nobody knows why."""
    outcomes = run_suites(builds, patterns, jobs)
    own = {each.name: outcome for each, outcome in zip(builds, outcomes, strict=True) if each.layer == "own"}
    runs = []
    for each, outcome in zip(builds, outcomes, strict=True):
        first = own.get(each.name, Outcome())
        runs.append(Run(each, outcome, first, run_again(each, first, outcome) if each.layer != "own" else {}))
    unknown = tell(runs, CAUSES)
    results = {str(run.build): {"passed": sorted(run.outcome.passed), "failed": run.outcome.failed,
                                "left out": run.outcome.left_out} for run in runs}  # fmt: skip
    return results, unknown


def instructions(builds: list[Build]) -> dict[str, Any]:
    """Of one command, by whose code they are."""
    found = {str(each): profile(each, PORT) for each in builds}
    rows = []
    for name, commands in found.items():
        for workload in WORKLOADS:
            by = commands[workload]
            whole = sum(by.values())
            parts = [f"{by.get(who, 0):.0f} ({by.get(who, 0) / whole:.1%})" for who in ("layer", "allocator", "rest")]
            rows.append([f"{name}, {'' if 'GET' in workload else 'SET of '}{workload}", f"{whole:.0f}", *parts])
    table("instructions of one command", ["", "all", "memory layer", "allocator", "the rest"], rows)
    return found


def speeds(builds: list[Build], rounds: int) -> dict[str, Any]:
    """Thousands of operations a second, builds of a server in turn."""
    found: dict[str, dict[str, float]] = {}
    rows = []
    for name in dict.fromkeys(each.name for each in builds):
        found |= speed([each for each in builds if each.name == name], PORT, rounds)
    for name, kinds in found.items():
        rates = [f"{kinds[kind] / 1e3:.0f}" for kind in ("SET", "GET")]
        rows.append([name, *rates, *(f"{kinds[kind]:.2f}" for kind in ("SET, µs", "GET, µs"))])
    columns = ["", "SET", "GET", "SET, µs of processor", "GET, µs of processor"]
    table("thousands of operations a second, and what the server's processor takes for one", columns, rows)
    return found


def memories(builds: list[Build]) -> dict[str, Any]:
    """Of a million small keys."""
    found = {str(each): memory(each, PORT) for each in builds}
    columns = [f"{kind} {when}" for when in ("full", "deleted", "defragmented") for kind in FIGURES]
    rows = [
        [name, *(f"{figures[column]:.1f}" if column in figures else "–" for column in columns)]
        for name, figures in found.items()
    ]
    table("MB of a million small keys, with three of four deleted, and after defragmentation", ["", *columns], rows)
    return found


PARTS = ["instructions", "memory", "speed", "suites"]


def words(text: str) -> list[str]:
    return text.split(",")


def words_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """An argument's type: some of these words."""

    def some(text: str) -> list[str]:
        if unknown := [word for word in words(text) if word not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: none of {', '.join(known)}")
        return words(text)

    return some


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=words_of(SERVERS), default=list(SERVERS))
    parser.add_argument("--layers", type=words_of(LAYERS), default=[])
    parser.add_argument("--parts", type=words_of(PARTS), default=PARTS)
    parser.add_argument("--units", type=words, default=UNITS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="builds whose suites run at once")
    parser.add_argument("--json", type=Path, default=FOLDER / "results.json")
    parser.add_argument("--short", action="store_true", help="the part that belongs to make soak")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if options.short:
        options.parts, options.units = ["suites"], SHORT_UNITS
        wanted = [(name, layer) for name, layers in SHORT for layer in layers]
    else:
        wanted = [(name, layer) for name in options.servers for layer in SERVERS[name].layers
                  if not options.layers or layer in options.layers]  # fmt: skip
    builds = []
    for name, layer in wanted:
        builds.append(build(name, layer))
        print(f"built: {builds[-1]}", flush=True)
    results: dict[str, Any] = {}
    bad = False
    for part in options.parts:
        if part == "instructions":
            results[part] = instructions(builds)
        elif part == "memory":
            results[part] = memories(builds)
        elif part == "speed":
            results[part] = speeds(builds, options.rounds)
        else:
            results[part], bad = suites(builds, options.units, options.jobs)
        options.json.write_text(json.dumps(results, indent=1))  # what is done is kept if a later part is cut off
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
