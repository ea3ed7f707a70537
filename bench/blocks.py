# SPDX-License-Identifier: BSD-3-Clause
"""What blocks cost in time and in memory, and the readings of what is in use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from measure import CONTENDERS, Results, Tree, alternate, table

KEYS = 1_000_000
WORKLOADS = ["mixed", "fixed", "usable", "calloc", "aligned", "realloc"]


def against_plain(medians: dict[str, float]) -> list[str]:
    """Plain's figure, and the others' ratios to it."""
    return [f"{medians['plain']:.1f}", *(f"{medians[name] / medians['plain']:.2f}" for name in CONTENDERS[1:])]


def churn(trees: list[Tree], rounds: int) -> Results:
    """One thread that makes and frees blocks."""
    results: Results = {}
    rows = []
    for tree in trees:
        for workload in WORKLOADS:
            runs = {name: (tree, [f"churn-{name}", workload, 1_000_000]) for name in CONTENDERS}
            medians = alternate(runs, rounds)
            results[f"{tree.name} {workload}"] = medians
            rows.append([f"{tree.name}, {workload}", *against_plain(medians)])
    columns = ["", "plain, ns", *(f"{name} / plain" for name in CONTENDERS[1:])]
    table("churn: one operation (a free and an allocation)", columns, rows)
    return results


def thread_counts() -> list[int]:
    """1, 2, 4, … up to twice the processors."""
    counts = [1]
    while counts[-1] < 2 * (os.cpu_count() or 1):
        counts.append(2 * counts[-1])
    return counts


def threads(trees: list[Tree], rounds: int) -> Results:
    """Many threads at once, each with its own blocks, or in pairs of one that makes and one that frees."""
    results: Results = {}
    for mode in ["private", "exchange"]:
        rows = []
        for tree in trees:
            alone: dict[str, float] = {}
            for count in thread_counts():
                runs = {name: (tree, [f"threads-{name}", mode, count, 1_000_000]) for name in CONTENDERS}
                medians = alternate(runs, rounds)
                results[f"{tree.name} {mode} {count}"] = medians
                alone = alone or medians
                share = (f"{medians[name] / count / alone[name]:.2f}" for name in CONTENDERS)
                rows.append([f"{tree.name}, {count}", *(f"{medians[name]:.1f}" for name in CONTENDERS), *share])
        what = "private blocks" if mode == "private" else "pairs: one allocates, one frees"
        columns = ["threads", *CONTENDERS, *(f"{name}, of one" for name in CONTENDERS)]
        table(f"threads: {what}; millions a second, and throughput of each as part of that of one alone",
              columns, rows)  # fmt: skip
    return results


def read(trees: list[Tree], rounds: int) -> Results:
    """What zmalloc_used_memory costs."""
    results: Results = {}
    counts = {"idle": [1, 8, 64, 1000], "churn": [8, 64]}
    rows = []
    for tree in trees:
        runs = {
            f"{count} {state}": (tree, ["read-zmalloc", count, state, 20_000 if state == "idle" else 2_000])
            for state, list_of in counts.items() for count in list_of
        }  # fmt: skip
        results[tree.name] = medians = alternate(runs, rounds)
        rows.append([tree.name, *(f"{value:.0f}" for value in medians.values())])
    columns = ["threads", *(f"{count} {state}, ns" for state, list_of in counts.items() for count in list_of)]
    table("read: one zmalloc_used_memory", columns, rows)
    return results


def symbol_size(program: Path, name: str) -> int:
    """Bytes of a variable in a program."""
    listing = subprocess.run(["nm", "--print-size", program], check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[3] == name:
            return int(fields[1], 16)
    sys.exit(f"{program} has no variable {name}")


def footprint(trees: list[Tree], rounds: int) -> Results:
    """Memory of zmalloc's own, and what a thread's start and end cost."""
    slots_at_start = 32
    results: Results = {}
    rows = []
    for tree in trees:
        program = tree.bench / "read-zmalloc"
        own = {
            "block": tree.figure("footprint-zmalloc"),
            "thread": float(symbol_size(program, "zm_self")),
            "slot": symbol_size(program, "slots_at_start") / slots_at_start,
        }
        contenders = ["plain", "zmalloc", "slots"]
        starts = alternate({name: (tree, [f"starts-{name}", 5_000]) for name in contenders}, rounds)
        results[tree.name] = {**own, **starts}
        ratios = (f"{starts[name] / starts['plain']:.2f}" for name in contenders[1:])
        rows.append([tree.name, *(f"{value:.0f}" for value in own.values()), f"{starts['plain']:.1f}", *ratios])
    columns = ["", "bytes a block", "a thread (TLS)", "a slot", "thread with one block, plain, µs",
               "zmalloc / plain", "slots / plain"]  # fmt: skip
    table("footprint", columns, rows)
    return results


def texts() -> list[Path]:
    """Real text: this project's own documents."""
    project = Path(__file__).parent.parent
    return [*sorted(project.glob("*.md")), *sorted((project / "docs").glob("*.rst")), project / "include/zmalloc.h"]


def keys(trees: list[Tree], _: int) -> Results:
    """The memory of a million small keys and values, cut from text."""
    results: Results = {}
    rows = []
    for tree in trees:
        asked, used, rss = map(float, tree.run("keys-zmalloc", KEYS, *texts()).stdout.split())
        results[tree.name] = {"asked": asked, "used": used, "rss": rss}
        rows.append([tree.name, f"{asked:.1f}", f"{used:.1f}", f"{used / asked:.3f}", f"{rss:.1f}"])
    columns = ["", "asked for, bytes a key", "in use", "in use / asked for", "RSS"]
    table("keys: a hash table of a million keys and values of 8 to 40 bytes", columns, rows)
    return results
