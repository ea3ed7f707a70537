# SPDX-License-Identifier: BSD-3-Clause
"""The servers' own suites in Tcl, run on a build."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from builds import Build, clean_environment

UNITS = [
    "unit/type/*", "unit/memefficiency", "unit/maxmemory", "unit/info", "unit/other", "unit/expire", "unit/lazyfree",
    "unit/scripting", "unit/obuf-limits", "unit/client-eviction", "integration/rdb", "integration/aof",
    "integration/replication",
]  # fmt: skip
SHORT_UNITS = ["unit/info", "unit/memefficiency"]
TIMEOUT = 1800  # seconds for a unit
PORTS = 500  # that a run of a unit may take

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Outcome:
    """What a run of a suite printed. A test is named by its unit and by itself; the second one of a name is #2."""

    passed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)  # the test, and what it said
    left_out: list[str] = field(default_factory=list)  # by the suite: the test or its kind, and the reason

    def add(self, other: Outcome) -> None:
        self.passed |= other.passed
        self.failed |= other.failed
        self.left_out += other.left_out


def units_of(build: Build, patterns: list[str]) -> list[str]:
    """Those that this server has."""
    tests = build.folder / "tests"
    found = [path.relative_to(tests).with_suffix("").as_posix() for pattern in patterns
             for path in sorted(tests.glob(f"{pattern}.tcl"))]  # fmt: skip
    return list(dict.fromkeys(found))


def parse(unit: str, text: str, status: int) -> Outcome:
    """Of the lines that the suite prints."""
    outcome = Outcome()
    lines = COLOUR.sub("", text).splitlines()
    met: Counter[str] = Counter()

    def named(name: str) -> str:
        met[name] += 1
        return f"{unit}: {name}" + (f" #{met[name]}" if met[name] > 1 else "")

    for number, line in enumerate(lines):
        if found := re.match(r"\[ok\]: (.*?)(?: \(\d+ ms\))?$", line):
            outcome.passed.add(named(found[1]))
        elif found := re.match(r"\[err\]: (.*?) in (?:\S*/)?tests/\S+\.tcl", line):
            outcome.failed[named(found[1])] = " ".join(lines[number + 1 : number + 3])
        elif line.startswith(("[err]", "[exception]", "[TIMEOUT]")):
            outcome.failed[f"{unit}: stopped"] = " ".join(lines[number : number + 4])
        elif found := re.match(r"\[(?:ignore|skip)\]: (.*)", line):
            outcome.left_out.append(f"{unit}: {found[1]}")
    if status != 0 and not outcome.failed:
        outcome.failed[f"{unit}: stopped"] = " ".join(lines[-4:])
    return outcome


def run_unit(build: Build, unit: str, first_port: int) -> Outcome:
    """Ports are as far from others' as asked. No test of milliseconds: a busy machine fails them on any layer."""
    command = ["./runtest", "--single", unit, "--clients", "1", "--baseport", str(first_port),
               "--portcount", str(PORTS), "--no-latency"]  # fmt: skip
    log = build.folder / f"suite-{unit.replace('/', '-')}.log"
    with log.open("w") as output:
        suite = subprocess.Popen(
            command, cwd=build.folder, env=clean_environment() | {"LC_ALL": "C"}, stdout=output,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            status = suite.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(suite.pid, signal.SIGKILL)  # and its servers
            status = suite.wait()
    return parse(unit, log.read_text(errors="replace"), status)


def port() -> int:
    """The first of the ports that the suites may take."""
    return int(os.environ.get("ZMALLOC_PORT", "21111"))


def run_again(build: Build, own: Outcome, outcome: Outcome) -> dict[str, str]:
    """Units with a failure that the server's own layer does not have, once more: some tests are about time. Gives the
    failures that did not come again."""
    gone = {}
    for unit in sorted({test.split(": ")[0] for test in outcome.failed.keys() - own.failed.keys()}):
        second = run_unit(build, unit, port())
        for test in [each for each in outcome.failed if each.startswith(f"{unit}: ") and each not in second.failed]:
            gone[test] = outcome.failed.pop(test)
        outcome.passed |= second.passed
    return gone


def run_units(build: Build, patterns: list[str], first_port: int) -> Outcome:
    """All units of a server, one after another: they share a folder."""
    outcome = Outcome()
    for unit in units_of(build, patterns):
        one = run_unit(build, unit, first_port)
        said = [f"{build}: {unit}: {len(one.passed)} passed, {len(one.failed)} failed\n"]
        said += [f"    {name}: {why[:300]}\n" for name, why in one.failed.items()]
        print("".join(said), end="", flush=True)
        outcome.add(one)
    return outcome


def run_suites(builds: list[Build], patterns: list[str], jobs: int) -> list[Outcome]:
    """As many builds at once as jobs: the suites wait more than they compute. The ones of a server are neighbours, so
    that its own layer and zmalloc have the same machine."""
    with ThreadPoolExecutor(jobs) as pool:
        ports = [port() + number * PORTS for number in range(len(builds))]
        return list(pool.map(lambda build, first: run_units(build, patterns, first), builds, ports))
