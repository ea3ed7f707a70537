# SPDX-License-Identifier: BSD-3-Clause
"""What a suite's tests did on zmalloc, beside what they did on the server's own layer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from builds import Build
from measure import table
from suites import Outcome

# Why a test has another result on zmalloc: by server and layer, and by the test. What fits none is a failure.
Causes = list[tuple[str, str, str]]
CAUSES: Causes = [
    (r" (libc|tcmalloc)$", r"^unit/memefficiency: Active defrag", "the server defragments with jemalloc alone"),
    (r" (libc|tcmalloc)$", r"^unit/type/string: trim on SET", "the suite asks for that size with jemalloc alone"),
]


def cause(build: str, test: str, causes: Causes) -> str | None:
    """The build is named by server and layer."""
    for builds, tests, why in causes:
        if re.search(builds, build) and re.search(tests, test):
            return why
    return None


@dataclass
class Differences:
    """Rows of (test, what it does on zmalloc, why), and whether one of them has no known cause."""

    rows: list[list[str]] = field(default_factory=list)
    unknown: bool = False

    def add(self, test: str, does: str, why: str | None, said: str = "") -> None:
        self.unknown = self.unknown or why is None
        self.rows.append([test, does, why if why is not None else f"UNKNOWN: {said[:200]}"])


def unit_of(test: str) -> str:
    return test.split(": ")[0]


def compare(build: str, own: Outcome, outcome: Outcome, gone: dict[str, str], causes: Causes) -> Differences:
    """What differs from the server's own layer. What is gone failed once, and passed when its unit was run again."""
    found = Differences()
    for test, said in gone.items():
        found.add(test, "fails once", f"passes when run again: {said[:200]}")
    for test in sorted(outcome.failed.keys() - own.failed.keys()):
        found.add(test, "fails", cause(build, test, causes), outcome.failed[test])
    for test in sorted(own.failed.keys() & outcome.passed):
        found.add(test, "passes", f"on its own layer: {own.failed[test][:200]}")
    # A unit that stops has tests that were not run; that it stopped is among the failures.
    stopped = {unit_of(test) for test in outcome.failed if test.endswith(": stopped")}
    for test in sorted(own.passed - outcome.passed - outcome.failed.keys()):
        if unit_of(test) not in stopped:
            found.add(test, "is not run", cause(build, test, causes))
    return found


@dataclass
class Run:
    """What the suites said of a build, and of the server's own."""

    build: Build
    outcome: Outcome
    own: Outcome
    gone: dict[str, str]


def tell(runs: list[Run], causes: Causes) -> bool:
    """Prints what passed and failed, and what differs; and says whether a difference has no known cause."""
    counts, differences, unknown = [], [], False
    for run in runs:
        passed, failed, left_out = run.outcome.passed, run.outcome.failed, run.outcome.left_out
        counts.append([str(run.build), str(len(passed)), str(len(failed)), str(len(left_out))])
        if run.build.layer != "own":
            found = compare(f"{run.build.name} {run.build.layer}", run.own, run.outcome, run.gone, causes)
            differences += [[str(run.build), *row] for row in found.rows]
            unknown = unknown or found.unknown
    table("suites", ["", "passed", "failed", "left out by the suite"], counts)
    if differences:
        table("differences from the server's own layer", ["", "test", "it", "cause"], differences)
    return unknown
