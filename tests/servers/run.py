# SPDX-License-Identifier: BSD-3-Clause
"""Builds servers with their own memory layer and on zmalloc, and compares what they do.

Usage: run.py [--servers NAME,…] [--layers NAME,…] [--parts suites,instructions,speed,memory] [--units GLOB,…]
[--rounds N] [--json FILE] [--short]. The status is 1 if a test fails on zmalloc, twice, that passes on the server's
own layer.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from builds import FOLDER, SERVERS, Build, build
from figures import memory, speed
from measure import table
from profile_of import WORKLOADS, profile
from suites import SHORT_UNITS, UNITS, Outcome, run_again, run_suites

PORT = 30990

# Why a test has another result on zmalloc: by server and layer, and by the test. What fits none is a failure.
CAUSES: list[tuple[str, str, str]] = []

# The short form: what stands in for a server of each kind.
SHORT = [("redis-7.0", ("own", "quantum8")), ("valkey-9.1", ("own", "quantum8"))]


def cause(result: Build, test: str) -> str | None:
    for builds, tests, why in CAUSES:
        if re.search(builds, f"{result.name} {result.layer}") and re.search(tests, test):
            return why
    return None


def suites(builds: list[Build], patterns: list[str]) -> tuple[dict[str, Any], bool]:
    """Which tests pass on each, and whether one fails on zmalloc alone and nobody knows why."""
    outcomes = {str(each): (each, run_suites(each, patterns)) for each in builds}
    own = {each.name: outcome for each, outcome in outcomes.values() if each.layer == "own"}
    rows, differences, bad = [], [], False
    for name, (each, outcome) in outcomes.items():
        first = own.get(each.name, Outcome())
        for test, said in (run_again(each, first, outcome) if each.layer != "own" else {}).items():
            differences.append([name, test, "fails once", f"passes when run again: {said[:200]}"])
        rows.append([name, str(len(outcome.passed)), str(len(outcome.failed)), str(outcome.left_out)])
        for test in sorted(outcome.failed.keys() - first.failed.keys()):
            why = cause(each, test)
            bad = bad or why is None
            differences.append([name, test, "fails", why or f"UNKNOWN: {outcome.failed[test][:200]}"])
        for test in sorted(first.failed.keys() & outcome.passed):
            differences.append([name, test, "passes", f"on its own layer: {first.failed[test][:200]}"])
        # A suite that stops has tests that were not run.
        for test in sorted(first.passed - outcome.passed - outcome.failed.keys()):
            why = cause(each, test)
            if not any(stopped.split(":")[0] == test.split(":")[0] for stopped in outcome.failed):
                bad = bad or why is None
                differences.append([name, test, "is not run", why or "UNKNOWN"])
    table("suites", ["", "passed", "failed", "left out by the suite"], rows)
    if differences:
        table("differences from the server's own layer", ["", "test", "it", "cause"], differences)
    found = {name: {"passed": len(outcome.passed), "failed": outcome.failed, "left out": outcome.left_out}
             for name, (_, outcome) in outcomes.items()}  # fmt: skip
    return found, bad


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
    rows = [[name, *(f"{kinds[kind] / 1e3:.0f}" for kind in ("SET", "GET"))] for name, kinds in found.items()]
    table("thousands of operations a second", ["", "SET", "GET"], rows)
    return found


def memories(builds: list[Build]) -> dict[str, Any]:
    """Of a million small keys."""
    found = {str(each): memory(each, PORT) for each in builds}
    columns = [f"{kind} {when}" for when in ("full", "deleted", "defragmented") for kind in ("used", "rss")]
    rows = [
        [name, *(f"{figures[column]:.1f}" if column in figures else "–" for column in columns)]
        for name, figures in found.items()
    ]
    table("MB of a million small keys, with three of four deleted, and after defragmentation", ["", *columns], rows)
    return found


def words(text: str) -> list[str]:
    return text.split(",")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=words, default=list(SERVERS))
    parser.add_argument("--layers", type=words, default=[])
    parser.add_argument("--parts", type=words, default=["suites", "instructions", "speed", "memory"])
    parser.add_argument("--units", type=words, default=UNITS)
    parser.add_argument("--rounds", type=int, default=5)
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
    if "instructions" in options.parts:
        results["instructions"] = instructions(builds)
    if "memory" in options.parts:
        results["memory"] = memories(builds)
    if "speed" in options.parts:
        results["speed"] = speeds(builds, options.rounds)
    if "suites" in options.parts:
        results["suites"], bad = suites(builds, options.units)
    options.json.write_text(json.dumps(results, indent=1))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
