# SPDX-License-Identifier: BSD-3-Clause
"""Runs the long forms of the tests for as long as asked, again and again with other seeds, and adds up their figures.

Usage: soak.py MINUTES BUILD..., where BUILD is a build directory. What a program prints as "figure: NUMBER what" is
summed. The first failure ends it: the program's output and how to run it again are printed, and the status is 1.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
MESON = os.environ.get("MESON", "meson")

# Programs that take how many seconds, and how many times as long as in a test, to run.
SECONDS = ("stress", "stress_cxx")
TIMES = ("destructors", "endings", "exchange", "fork", "limit", "readers", "rlimit", "slots")
FORKS = ("handlers", "handlers_static", "anywhere", "amid_destructor", "amid_destructor_static")
FUZZERS = ("smaps", "cgroup", "proc", "records")

PIECE = 20  # seconds, roughly, that a job takes
SKIPPED = 77


@dataclass
class Job:
    """A command that ends with 0 if all held, and what to set in its environment."""

    tree: Path
    command: list[str]
    variables: dict[str, str] = field(default_factory=dict)
    log: Path | None = None  # where Meson puts the output

    def __str__(self) -> str:
        return shlex.join([*(f"{name}={value}" for name, value in self.variables.items()), *self.command])


def programs(tree: Path) -> Iterator[tuple[str, list[str]]]:
    """What the tree has of the programs, and their arguments."""
    c = tree / "tests" / "c"
    yield from ((str(c / name), [str(PIECE)]) for name in SECONDS)
    yield from ((str(c / f"threads_{name}"), ["2"]) for name in TIMES)
    yield from ((str(c / f"fork_{name}"), ["2"]) for name in FORKS)
    yield str(c / "test_hostile_sizes"), []
    yield str(tree / "tests" / "faults" / "fault_loops"), [str(SOURCE / "include")]


def meson_test(tree: Path, name: str, variables: dict[str, str]) -> Job:
    log = f"soak-{name.replace(' ', '-')}"
    command = [MESON, "test", "-C", str(tree), "--no-rebuild", "-t", "0", "--logbase", log, name]
    return Job(tree, command, variables, tree / "meson-logs" / f"{log}.txt")


def jobs_of(tree: Path, seed: int) -> Iterator[Job]:
    for program, arguments in programs(tree):
        if Path(program).exists() and "asan" not in tree.name:  # that one is for what scripts can do
            yield Job(tree, [program, *arguments])
    wrong = tree / "tests" / "programs" / "wrong"
    if "hardened" in tree.name and wrong.exists():
        yield Job(tree, [str(wrong), "random", "5000", str(seed)])
    for name in FUZZERS:
        fuzzer = tree / "tests" / "fuzz" / f"fuzz_{name}_many"
        if fuzzer.exists():
            yield Job(tree, [str(fuzzer), f"-seed={seed}", f"-max_total_time={PIECE}", "-max_len=600",
                             "-print_final_stats=1", f"-artifact_prefix={tree}/"])  # fmt: skip
    if (tree / "bindings" / "python" / "zmalloc").exists():
        yield meson_test(tree, "python machine", {"ZMALLOC_EXAMPLES": "250"})
        yield meson_test(tree, "python random", {"ZMALLOC_SEED": str(seed), "ZMALLOC_CALLS": "300000"})
        if tree.name == "libc":  # the only one that has it
            yield meson_test(tree, "python serve", {"ZMALLOC_SECONDS": str(PIECE)})
    if (tree / "bindings" / "lua" / "zmalloc.so").exists():
        yield meson_test(tree, "lua random", {"ZMALLOC_SEED": str(seed), "ZMALLOC_CALLS": "300000"})


class Soak:
    """Jobs of all trees in turn, handed out until the time is over or one has failed."""

    def __init__(self, seconds: float, trees: list[Path]) -> None:
        self.end = time.monotonic() + seconds
        self.jobs = (job for seed in itertools.count(1) for tree in trees for job in jobs_of(tree, seed))
        self.lock = threading.Lock()
        self.figures: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        self.failure: str | None = None

    def next(self) -> Job | None:
        with self.lock:
            return next(self.jobs) if self.failure is None and time.monotonic() < self.end else None

    def note(self, job: Job, status: int, output: str) -> None:
        with self.lock:
            if status not in (0, SKIPPED):
                self.failure = f"{output[-4000:]}\nsoak: status {status}: {job}"
                return
            self.runs[job.tree.name] += 1
            for number, what in re.findall(r"^figure: (\d+) (.+)$", output, re.MULTILINE):
                self.figures[what] += int(number)
            for number in re.findall(r"^stat::number_of_executed_units: (\d+)$", output, re.MULTILINE):
                self.figures["parser inputs tried"] += int(number)

    def work(self) -> None:
        while (job := self.next()) is not None:
            result = subprocess.run(
                job.command, env=os.environ | job.variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors="replace", stdin=subprocess.DEVNULL,
            )  # fmt: skip
            output = job.log.read_text(errors="replace") if job.log is not None and job.log.exists() else ""
            self.note(job, result.returncode, result.stdout + output)

    def run(self) -> None:
        threads = [threading.Thread(target=self.work) for _ in range(os.cpu_count() or 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def table(self) -> str:
        lines = [f"{number:>16,}  {what}" for what, number in sorted(self.figures.items())]
        lines += [f"{number:>16,}  runs of programs in {tree}" for tree, number in sorted(self.runs.items())]
        return "\n".join(lines)


def main() -> int:
    minutes, trees = float(sys.argv[1]), [Path(name).resolve() for name in sys.argv[2:]]
    soak = Soak(minutes * 60, trees)
    soak.run()
    print(soak.table())
    if soak.failure is not None:
        print(soak.failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
