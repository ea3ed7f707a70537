# SPDX-License-Identifier: BSD-3-Clause
"""What questions to the kernel and to the allocator cost, in C and in Python."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from measure import Results, Tree, table

# What questions may cost: the question, what it is held against, and how many times as much at most.
QUESTIONS = [
    ("rss", "rss_by_stat", 0.5),
    ("field", "field_by_lines", 1 / 3),
    ("report", "rss", 5),
    ("mappings", "psutil", 1 / 5),
]

# What a Monitor may take of a core, in percent.
MOST_OF_A_CORE = 0.1


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
