#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the benchmarks of one or more build directories and prints tables of medians and ratios.

The contenders alternate: each round runs every one of them once, so that a machine whose speed drifts treats all
alike. Times are to be read as ratios; instruction counts do not depend on the machine's mood.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# The designs that zmalloc is held against; bench/contender.h describes them.
MODELS = ["atomic", "slots"]
CONTENDERS = ["plain", "zmalloc", *MODELS]
WORKLOADS = ["mixed", "fixed", "calloc", "realloc"]

# What zmalloc may cost in instructions for a malloc and free: more than plain, or of what the slots model costs more
# than plain. The margin is for other compilers.
MOST_OVER_PLAIN = {"jemalloc": 12}
MOST_OF_SLOTS = {"tcmalloc": 0.62, "mimalloc": 0.62, "libc": 0.78, "libc, prefix": 0.84}
MARGIN = 1.1

# And with a limit set, which is far away: more than without.
MOST_WITH_LIMIT = 250

# What questions may cost: the question, what it is held against, and how many times as much at most.
QUESTIONS = [
    ("rss", "rss_by_stat", 0.5),
    ("field", "field_by_lines", 1 / 3),
    ("report", "rss", 5),
    ("mappings", "psutil", 1 / 5),
]

# What a Monitor may take of a core, in percent.
MOST_OF_A_CORE = 0.1


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


Results = dict[str, dict[str, float]]


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
                runs = {name: (tree, [f"threads-{name}", mode, count, 300_000]) for name in CONTENDERS}
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


def instructions_of(tree: Tree, contender: str, workload: str) -> float:
    """Instructions of one operation, harness included: start and end cancel out between a short and a long run."""
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    counts = []
    for operations in (100_000, 400_000):
        done = tree.run(f"churn-{contender}", workload, operations, wrapper=valgrind)
        match = re.search(r"Collected : (\d+)", done.stderr)
        if match is None:
            sys.exit(f"callgrind printed no count:\n{done.stderr}")
        counts.append(int(match[1]))
    return (counts[1] - counts[0]) / 300_000


def verdict(tree: Tree, over: dict[str, float]) -> str:
    """What zmalloc's cost is held to, and whether it is kept."""
    if tree.name not in MOST_OVER_PLAIN | MOST_OF_SLOTS:
        return ""
    if tree.name in MOST_OVER_PLAIN:
        most = float(MOST_OVER_PLAIN[tree.name])
        text = f"at most +{most:.0f}"
    else:
        most = MOST_OF_SLOTS[tree.name] * over["slots"]
        text = f"at most {MOST_OF_SLOTS[tree.name]:.0%} of slots"
    if over["zmalloc"] <= most + 0.05:
        return f"{text}: yes"
    return f"{text}: {'nearly' if over['zmalloc'] <= most * MARGIN else 'NO'}"


def instructions(trees: list[Tree], rounds: int) -> Results:
    """Instructions of a malloc and a free, by callgrind."""
    del rounds  # they come out the same every time
    results: Results = {}
    rows = []
    for tree in trees:
        for workload in ["mixed", "fixed"]:
            counts = {name: instructions_of(tree, name, workload) for name in ["none", *CONTENDERS, "limited"]}
            over = {name: counts[name] - counts["plain"] for name in ["zmalloc", *MODELS, "limited"]}
            results[f"{tree.name} {workload}"] = {"plain": counts["plain"] - counts["none"], **over}
            held = verdict(tree, over) if workload == "mixed" else ""
            if over["limited"] - over["zmalloc"] > MOST_WITH_LIMIT * MARGIN:
                held = f"limited at most +{MOST_WITH_LIMIT} more: NO"
            rows.append([
                f"{tree.name}, {workload}", f"{counts['plain'] - counts['none']:.1f}",
                *(f"+{value:.1f}" for value in over.values()), f"{over['zmalloc'] / over['slots']:.0%}", held,
            ])  # fmt: skip
    columns = ["", "plain", "zmalloc", *MODELS, "limited", "zmalloc / slots", "held to"]
    table("instructions: a malloc and a free, harness subtracted; the others as more than plain", columns, rows)
    if any("NO" in row[-1] for row in rows):
        results["failed"] = {}
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


class Crowded:
    """A process with many mappings, while the block lasts."""

    def __init__(self, tree: Tree, mappings: int) -> None:
        command = [str(tree.bench / "ask-zmalloc"), "hold", "1", str(mappings)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> int:
        if self.process.stdout is None or self.process.stdout.readline() != "ready\n":
            sys.exit("a process with many mappings could not be had")
        return self.process.pid

    def __exit__(self, *error: object) -> None:
        self.process.communicate()


def ask_python(tree: Tree, contender: str, pid: int) -> float:
    """Microseconds for all mappings of a process, in Python."""
    script = Path(__file__).parent / "ask_mappings.py"
    environment = {**os.environ, "PYTHONPATH": str(tree.module)}
    done = subprocess.run([sys.executable, script, contender, str(pid), "3"],
                          check=True, capture_output=True, text=True, env=environment)  # fmt: skip
    return float(done.stdout)


def ask(trees: list[Tree], rounds: int) -> Results:
    """Questions to the kernel and to the allocator, against the usual ways to ask."""
    many = 10_000
    results: Results = {}
    rows = []
    for tree in trees:
        figures: dict[str, list[float]] = {}
        commands = {
            **{ask: ("ask-zmalloc", ask, 5_000, 1) for ask in ["rss", "rss_by_stat", "report", "report_with_walk"]},
            **{name: ("ask-zmalloc", name, 5, many) for name in ["field", "field_of_smaps", "field_by_lines"]},
        }
        with Crowded(tree, many) as pid:
            for _ in range(rounds):
                for name, command in commands.items():
                    figures.setdefault(name, []).append(tree.figure(*command))
                for name, contender in {"mappings": "zmalloc", "psutil": "psutil"}.items():
                    if tree.has_module():
                        figures.setdefault(name, []).append(ask_python(tree, contender, pid))
        results[tree.name] = medians = {name: statistics.median(values) for name, values in figures.items()}
        for question, peer, most in QUESTIONS:
            if question in medians:
                ratio = medians[question] / medians[peer]
                held = f"{most:.2f}: {'yes' if ratio <= most else 'NO'}"
                if question == "report" and tree.allocator == "libc":
                    held = "mallinfo2 walks all free blocks"
                rows.append([f"{tree.name}, {question}", f"{medians[question]:.1f}", f"{peer}, {medians[peer]:.1f}",
                             f"{ratio:.2f}", held])  # fmt: skip
        for name in ["report_with_walk", "field_of_smaps"]:
            rows.append([f"{tree.name}, {name}", f"{medians[name]:.1f}", "", "", ""])
    table("ask: one question", ["", "µs", "against, µs", "ratio", "at most"], rows)
    return results


def python(trees: list[Tree], rounds: int) -> Results:
    """Calls in Python, against ctypes and bytearray."""
    script = Path(__file__).parent / "python_calls.py"
    results: Results = {}
    rows = []
    for tree in (tree for tree in trees if tree.has_module()):
        environment = {**os.environ, "PYTHONPATH": str(tree.module)}
        done = subprocess.run([sys.executable, script, tree.bench.parent / "src" / "libzmalloc.so", str(rounds)],
                              check=True, capture_output=True, text=True, env=environment)  # fmt: skip
        pairs = (line.rpartition(": ") for line in done.stdout.splitlines())
        results[tree.name] = times = {name: float(time) for name, _, time in pairs}
        for name in times:
            peer = "by_ctypes" if name == "used_memory" else name.replace("Block", "bytearray")
            if name not in ("by_ctypes", peer):
                ratio, most = times[name] / times[peer], 0.6 if name == "used_memory" else 1.5
                rows.append([f"{tree.name}, {name}", f"{times[name]:.0f}", f"{peer}, {times[peer]:.0f}",
                             f"{ratio:.2f}", f"{most:.2f}: {'yes' if ratio <= most else 'NO'}"])  # fmt: skip
    table("python: one call", ["", "ns", "against, ns", "ratio", "at most"], rows)
    return results


def monitor(trees: list[Tree], rounds: int) -> Results:
    """A Python Monitor that takes 10 samples a second."""
    script = Path(__file__).parent / "monitor.py"
    states = {"wake": "a thread that only wakes", "few": "little memory", "many": "100,000 blocks, a third freed",
              "walk": "the same, page tables walked", "other": "another process"}  # fmt: skip
    results: Results = {}
    rows = []
    for tree in (tree for tree in trees if tree.has_module()):
        environment = {**os.environ, "PYTHONPATH": str(tree.module)}
        figures: dict[str, list[float]] = {state: [] for state in states}
        for _ in range(rounds):
            for state in states:
                done = subprocess.run([sys.executable, script, state, "5"],
                                      check=True, capture_output=True, text=True, env=environment)  # fmt: skip
                figures[state].append(float(done.stdout))
        results[tree.name] = medians = {state: statistics.median(values) for state, values in figures.items()}
        for state, what in states.items():
            held = f"{MOST_OF_A_CORE:.1f}: {'yes' if medians[state] <= MOST_OF_A_CORE else 'NO'}"
            if state == "many" and tree.allocator == "libc":
                held = "mallinfo2 walks all free blocks"
            rows.append([f"{tree.name}, {what}", f"{medians[state]:.3f}", f"{medians[state] * 1000:.0f}",
                         held if state not in ("wake", "walk") else ""])  # fmt: skip
    table("monitor: 10 samples a second", ["", "% of a core", "µs a sample", "% at most"], rows)
    return results


SUBJECTS = {"instructions": instructions, "churn": churn, "threads": threads, "read": read, "footprint": footprint,
            "ask": ask, "python": python, "monitor": monitor}


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
    print(f"Machine: {machine()}")
    results = {name: SUBJECTS[name](trees, options.rounds) for name in options.subject or SUBJECTS}
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine(), "results": results}, indent=2) + "\n")
    if options.check and "failed" in results.get("instructions", {}):
        sys.exit("the instruction counts are past their limits")


main()
