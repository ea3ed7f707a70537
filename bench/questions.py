# SPDX-License-Identifier: BSD-3-Clause
"""What questions to the kernel and to the allocator cost, in C and in Python."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from measure import Results, Tree, psutils, script, table

# What questions may cost: the question, what it is held against, and how many times as much at most.
QUESTIONS = [
    ("rss", "rss_by_stat", 0.5),
    ("field", "field_by_lines", 1 / 3),
    ("field", "rollup_by_lines", 1.1),
    ("report", "rss", 5),
]
# And in Python, against psutil.
IN_PYTHON = {"mappings": 1 / 4, "field": 1.0}

# What both wait for.
KERNEL = "the kernel's text of the mappings alone"

# What a Monitor may take of a core, in percent, and of what a loop takes that reads RSS by psutil.
MOST_OF_A_CORE = 0.1
MOST_OF_PSUTIL = 0.5


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


def ask(trees: list[Tree], rounds: int) -> Results:
    """Questions to the kernel and to the allocator, against the usual ways to ask."""
    many = 10_000
    results: Results = {}
    rows = []
    commands = {
        **{name: ("ask-zmalloc", name, 5_000, 1) for name in ["rss", "rss_by_stat"]},
        **{name: ("ask-zmalloc", name, 500, 1) for name in ["report", "report_with_walk"]},
        **{name: ("ask-zmalloc", name, 10, many)
           for name in ["field", "field_of_smaps", "field_by_lines", "rollup_by_lines"]},
    }  # fmt: skip
    for tree in trees:
        figures: dict[str, list[float]] = {}
        with Crowded(tree, many) as pid:
            for _ in range(rounds):
                for name, command in commands.items():
                    figures.setdefault(name, []).append(tree.figure(*command))
                if tree.has_module():
                    time = float(script("ask_python.py", "mappings", "kernel", pid, 3))
                    figures.setdefault(KERNEL, []).append(time)
                for question, times in {"mappings": 3, "field": 20}.items():
                    for peer, folder in {"zmalloc": tree.module, **psutils()}.items() if tree.has_module() else ():
                        contender = "zmalloc" if peer == "zmalloc" else "psutil"
                        time = float(script("ask_python.py", question, contender, pid, times, folder=folder))
                        figures.setdefault(f"{question} in Python, {peer}", []).append(time)
        results[tree.name] = medians = {name: statistics.median(values) for name, values in figures.items()}
        held = [(question, peer, most, question) for question, peer, most in QUESTIONS]
        held += [(f"{question} in Python, zmalloc", f"{question} in Python, {peer}", most, f"{question} in Python")
                 for question, most in IN_PYTHON.items() for peer in psutils()]  # fmt: skip
        for question, peer, most, name in held:
            if question in medians:
                ratio = medians[question] / medians[peer]
                verdict = f"{most:.2f}: {'yes' if ratio <= most else 'NO'}"
                if question == "report" and tree.allocator == "libc":
                    verdict = "mallinfo2 walks all free blocks"
                against = f"{peer.rpartition(', ')[2]}, {medians[peer]:.1f}"
                rows.append([f"{tree.name}, {name}", f"{medians[question]:.1f}", against, f"{ratio:.2f}", verdict])
        for peer in psutils() if KERNEL in medians else ():
            theirs = medians[f"mappings in Python, {peer}"]
            rows.append([f"{tree.name}, {KERNEL}", f"{medians[KERNEL]:.1f}", f"{peer}, {theirs:.1f}",
                         f"{medians[KERNEL] / theirs:.2f}", ""])  # fmt: skip
        for name in ["report_with_walk", "field_of_smaps"]:
            rows.append([f"{tree.name}, {name}", f"{medians[name]:.1f}", "", "", ""])
    table("ask: one question", ["", "µs", "against, µs", "ratio", "at most"], rows)
    return results


def monitor(trees: list[Tree], rounds: int) -> Results:
    """A Python Monitor that takes 10 samples a second, against a loop that reads RSS as often."""
    states = {"wake": "a thread that only wakes", "few": "little memory", "many": "100,000 blocks, a third freed",
              "walk": "the same, page tables walked", "other": "another process"}  # fmt: skip
    results: Results = {}
    rows = []
    for tree in (tree for tree in trees if tree.has_module()):
        figures: dict[str, list[float]] = {}
        for _ in range(rounds):
            for state in states:
                figures.setdefault(state, []).append(float(script("monitor.py", state, 5, folder=tree.module)))
            for peer, folder in psutils().items():
                figures.setdefault(peer, []).append(float(script("psutil_loop.py", 5, folder=folder)))
        results[tree.name] = medians = {state: statistics.median(values) for state, values in figures.items()}
        for state, what in states.items():
            held = f"{MOST_OF_A_CORE:.1f}: {'yes' if medians[state] <= MOST_OF_A_CORE else 'NO'}"
            if state == "many" and tree.allocator == "libc":
                held = "mallinfo2 walks all free blocks"
            rows.append([f"{tree.name}, {what}", f"{medians[state]:.3f}", f"{medians[state] * 1000:.0f}",
                         held if state not in ("wake", "walk") else "", "", ""])  # fmt: skip
        for peer in psutils():
            ratio = medians["few"] / medians[peer]
            rows.append([f"{tree.name}, a loop that reads RSS by {peer}", f"{medians[peer]:.3f}",
                         f"{medians[peer] * 1000:.0f}", "", f"{ratio:.2f}",
                         f"{MOST_OF_PSUTIL:.1f}: {'yes' if ratio <= MOST_OF_PSUTIL else 'NO'}"])  # fmt: skip
    table("monitor: 10 samples a second", ["", "% of a core", "µs a sample", "% at most",
                                           "of which a Monitor (little memory) takes", "at most"], rows)  # fmt: skip
    return results
