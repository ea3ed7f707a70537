# SPDX-License-Identifier: BSD-3-Clause
"""What the Python module costs: its calls, its import, and its command line as a whole process."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Results, Tree, psutils, table
from measure import script as run_script

# What an import may cost of psutil's, and the command line of a script that reads the same by psutil.
MOST_OF_IMPORT = 0.26
MOST_OF_SCRIPT = 0.86

BY_PSUTIL = """
import psutil, sys
process = psutil.Process(int(sys.argv[1]))
memory = process.memory_full_info()
print(process.name(), memory.rss, memory.pss, memory.uss, memory.swap)
"""


def python(trees: list[Tree], rounds: int) -> Results:
    """Calls in Python, against ctypes, cffi where it is installed, and bytearray."""
    results: Results = {}
    rows = []
    for tree in (tree for tree in trees if tree.has_module()):
        library = tree.bench.parent / "src" / "libzmalloc.so"
        lines = run_script("python_calls.py", library, rounds, folder=tree.module).splitlines()
        pairs = (line.rpartition(": ") for line in lines)
        results[tree.name] = times = {name: float(time) for name, _, time in pairs}
        held = [("used_memory", peer, 0.6) for peer in times if peer.startswith("by_")]
        held += [(name, name.replace("Block", "bytearray"), 1.5) for name in times if name.startswith("Block")]
        for name, peer, most in held:
            ratio = times[name] / times[peer]
            rows.append([f"{tree.name}, {name}", f"{times[name]:.0f}", f"{peer}, {times[peer]:.0f}",
                         f"{ratio:.2f}", f"{most:.2f}: {'yes' if ratio <= most else 'NO'}"])  # fmt: skip
    table("python: one call", ["", "ns", "against, ns", "ratio", "at most"], rows)
    return results


class Programs:
    """Python programs, run in turn, with their byte code at hand as that of what is installed."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds

    def milliseconds(self, programs: dict[str, tuple[list[str], Path | None]]) -> dict[str, float]:
        """The median of the processor's time of each, by its name."""
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            times: dict[str, list[float]] = {}
            for _ in range(1 + 5 * self._rounds):
                for name, (command, folder) in programs.items():
                    environment["PYTHONPATH"] = str(folder or "")
                    times.setdefault(name, []).append(self._run(command, environment))
        return {name: statistics.median(values[1:]) for name, values in times.items()}

    @staticmethod
    def _run(command: list[str], environment: dict[str, str]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def processes(trees: list[Tree], rounds: int) -> Results:
    """An import, and the command line's report of another process, as whole processes."""
    results: Results = {}
    rows = []
    pid = str(os.getpid())
    for tree in (tree for tree in trees if tree.has_module()):
        python = [sys.executable, "-c"]
        programs: dict[str, tuple[list[str], Path | None]] = {
            "python": ([*python, ""], None),
            "import": ([*python, "import zmalloc"], tree.module),
            "report": ([sys.executable, "-m", "zmalloc", "report", pid], tree.module),
            "ps": (["ps", "-o", "pid,rss,vsz,comm", "-p", pid], None),
        }
        for peer, folder in psutils().items():
            programs[f"import {peer}"] = ([*python, "import psutil"], folder)
            programs[peer] = ([*python, BY_PSUTIL, pid], folder)
        results[tree.name] = times = Programs(rounds).milliseconds(programs)
        rows.append([f"{tree.name}, python alone", f"{times['python']:.1f}", "", "", ""])
        ours = times["import"] - times["python"]
        for peer in psutils():
            theirs = times[f"import {peer}"] - times["python"]
            rows.append([f"{tree.name}, import zmalloc, over python alone", f"{ours:.1f}",
                         f"import of {peer}, {theirs:.1f}", f"{ours / theirs:.2f}",
                         f"{MOST_OF_IMPORT}: {'yes' if ours / theirs <= MOST_OF_IMPORT else 'NO'}"])  # fmt: skip
        for peer in [*psutils(), "ps"]:
            ratio = times["report"] / times[peer]
            held = f"{MOST_OF_SCRIPT}: {'yes' if ratio <= MOST_OF_SCRIPT else 'NO'}" if peer != "ps" else ""
            rows.append([f"{tree.name}, zmalloc report PID", f"{times['report']:.1f}", f"{peer}, {times[peer]:.1f}",
                         f"{ratio:.2f}", held])  # fmt: skip
    table("processes: a whole process's time", ["", "ms", "against, ms", "ratio", "at most"], rows)
    return results
