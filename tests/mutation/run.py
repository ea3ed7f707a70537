# SPDX-License-Identifier: BSD-3-Clause
"""Makes small changes to src/, one at a time, in copies of the tree, and tells which of them no test notices.

A change that the compiler makes the same program of, or the same as an earlier change, is none; nor is one that does
not compile. A tree is an allocator; a change counts as noticed if a test of any tree does so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mutants import Mutant, mutants_of, read_equivalents, stale

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

sys.path.append(str(HERE.parent))
from sources import files_that_run_here, rows_of_tests  # noqa: E402

# The first pattern that a file fits says in which trees it is tried, one after the other.
TREES_OF = {
    "src/allocator/jemalloc.*": ["jemalloc"],
    "src/allocator/tcmalloc.*": ["tcmalloc"],
    "src/allocator/mimalloc.*": ["mimalloc"],
    "src/allocator/size_table.*": ["tcmalloc", "mimalloc"],
    "src/hardened/*": ["hardened"],
    "src/heap/heap.h": ["hardened"],
    "src/os/unix/random.c": ["hardened"],
    "src/heap/block.h": ["libc-prefix", "libc", "tcmalloc"],
    "src/zmalloc.c": ["libc", "libc-prefix", "tcmalloc", "jemalloc"],
    "src/aligned.c": ["libc", "libc-prefix", "tcmalloc"],
    "src/slow.c": ["libc", "libc-prefix", "tcmalloc", "jemalloc"],
    "src/call.h": ["libc", "libc-prefix", "tcmalloc"],
    "src/limit/claim.h": ["libc", "libc-prefix", "tcmalloc"],
    "src/account/account.c": ["libc", "jemalloc", "libc-asan"],
    "src/inspect/allocator.c": ["libc", "jemalloc"],
    "*": ["libc", "libc-asan"],  # what reads or writes beyond an array, the second notices
}
OPTIONS_OF = {
    "libc-prefix": ["-Dsize_prefix=true"],
    "libc-asan": ["-Db_sanitize=address,undefined"],
    "hardened": ["-Dhardened=true"],
}

# Which tests should notice: those that tests/README.md names for the file, then these, the quick ones first. Later
# those come first that noticed most changes to the file.
LIMITS = ["limit", "soft_limit", "oom_retry"]
CALLS = ["account", "allocator", "totals", "oom", *LIMITS, "sizes", "aligned", "calls", "lua_alloc 5.4", "unload*",
         "served*", "hostile*", "hardened*", "python misuse", "programs death",
         "programs hardened", "python out_of_memory"]  # fmt: skip
THREADS = ["unit_readers", "threads_destructors", "threads_slots", "threads_readers", "threads_exchange",
           "threads_limit"]  # fmt: skip
PROCESS = ["process", "process_errors", "no_proc", "process_ends"]
QUESTIONS = ["structs", "smaps", "mappings", "machine", "cgroup", "region", "frugal", *PROCESS, "report", "decay",
             "allocator", "python module", "python process", "python mappings", "python report"]  # fmt: skip
FAULTS = ["*fault*"]
FORKS = ["unit_fork", "unit_child", "unit_amid", "fork_together", "fork_amid*", "fork_handlers", "fork_anywhere",
         "threads_fork"]  # fmt: skip
READERS = ["unit_readers", "account", "totals", *THREADS[1:], *FORKS]
TESTS_OF = {
    "src/os/linux/smaps.*": ["unit_smaps", "smaps", "mappings", *PROCESS, "parser"],
    "src/os/linux/lines.*": ["smaps", *PROCESS, "cgroup", "parser"],
    "src/os/linux/cgroup.*": ["cgroup", "machine", *PROCESS, "parser", *FAULTS],
    "src/os/linux/mounts.*": ["cgroup", "machine", *PROCESS, "parser", *FAULTS],
    "src/os/linux/machine.*": ["machine", "cgroup", *PROCESS, "python process", *FAULTS],
    "src/os/fields.*": ["unit_smaps", "smaps", *PROCESS, "region", "parser"],
    "src/os/unix/region.*": ["region"],
    "src/os/unix/remap.c": ["region"],
    "src/os/unix/posix.c": QUESTIONS + CALLS + FAULTS,
    "src/os/unix/random.c": CALLS + FAULTS,
    "src/os/*": QUESTIONS + FAULTS,
    "src/inspect/process.c": QUESTIONS + FAULTS,
    "src/inspect/report.c": QUESTIONS + FAULTS,
    "src/inspect/sized.h": ["structs", "programs growth"],
    "src/inspect/allocator.c": ["allocator", *QUESTIONS, *CALLS, *FAULTS],
    "src/allocator/*.c": ["allocator", *CALLS, *QUESTIONS, *FAULTS],
    "src/limit/*": [*LIMITS, "unit_quota", "threads_limit*", "unit_amid", "fork_together", *CALLS, *THREADS, *FAULTS],
    "src/sync/callback.*": ["oom", *LIMITS, *CALLS, *THREADS, *FAULTS],
    "src/account/account.*": CALLS + THREADS + FAULTS,
    "src/account/counters.*": READERS,
    "src/account/fork.*": [*FORKS, *READERS],
    "src/sync/child.*": [*FORKS, *LIMITS, *CALLS, *THREADS],
    "src/account/readers.*": READERS,
    "src/account/roster.*": READERS,
    "src/account/slots.*": READERS,
    "*": CALLS + THREADS + FAULTS,
}


@dataclass
class Test:
    name: str
    command: list[str]
    env: dict[str, str]
    folder: str | None
    targets: list[str]
    seconds: float = 20  # as it is; at first, a guess
    processor: float = 20  # of the seconds, those of all its processes that were waited for

    def run(self) -> str:
        """ "" if it passed, or how it did not."""
        # A machine that has more to do makes all things late, but takes no more time of the processor for them.
        processor = 3 + 5 * int(self.processor)
        limit = 30 + 5 * self.seconds

        def restrict() -> None:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_CPU, (processor, processor))
            # What allocates without end is ended before anything else is; a limit would be what tests ask for.
            Path("/proc/self/oom_score_adj").write_text("1000")

        with subprocess.Popen(
            self.command,
            env=os.environ | self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=restrict,
            start_new_session=True,
        ) as process:
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return "hangs" if code is None else "" if code in (0, 77) else f"exit status {code}"


class Tree:
    """A copy of the sources, configured for one allocator, built, and its tests tried once as they are."""

    def __init__(self, name: str, folder: Path, files: list[str], setup: list[str]) -> None:
        self.name = name
        self.source = folder / name / "source"
        self.build = folder / name / "build"
        for file in files:
            self._copy(file)
        if name == "jemalloc":
            for fetched in sorted((ROOT / "subprojects" / "packagecache").glob("*")):
                self._copy(str(fetched.relative_to(ROOT)))
        if not (self.build / "build.ninja").exists():
            say(f"{name}: configuring")
            allocator = "libc" if name == "hardened" else name.split("-")[0]
            # Optimised, and without line numbers: so that what is the same program is seen to be.
            options = [f"-Dallocator={allocator}", "-Doptimization=2", "-Ddebug=false", *OPTIONS_OF.get(name, [])]
            options += ["-Dlua=disabled", "-Dbenchmarks=disabled", "-Dexamples=disabled", "-Dtests=enabled"]
            command = [*setup, str(self.build), str(self.source), *options]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        self.targets = self._targets()
        self.tests = self._tests()
        self.usable: dict[str, bool] = {}

    def _copy(self, file: str) -> None:
        """Only what is new, as the next build looks at dates."""
        to = self.source / file
        if not to.exists() or to.read_bytes() != (ROOT / file).read_bytes():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, to)
            shutil.copymode(ROOT / file, to)

    def _introspect(self, what: str) -> Any:
        return json.loads((self.build / "meson-info" / f"intro-{what}.json").read_text())

    def _targets(self) -> dict[str, str]:
        return {
            target["id"]: os.path.relpath(target["filename"][0], self.build)
            for target in self._introspect("targets")
            if target["type"] != "run"
        }

    def _tests(self) -> dict[str, Test]:
        found = {}
        for test in self._introspect("tests"):
            targets = [self.targets[identity] for identity in test["depends"] if identity in self.targets]
            found[test["name"]] = Test(test["name"], test["cmd"], test["env"], test["workdir"], targets)
        return found

    def prepare(self, patterns: list[str]) -> list[Test]:
        """The tests of these names that pass as long as nothing is changed, each tried once."""
        names = [name for pattern in patterns for name in sorted(self.tests) if fnmatch(name, pattern)]
        for name in names:
            if name not in self.usable:
                test = self.tests[name]
                start = time.monotonic()
                how = "" if self.make(test.targets) else "does not build"
                built = time.monotonic()
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                how = how or test.run()
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                test.seconds = time.monotonic() - built
                test.processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                self.usable[name] = not how
                say(f"{self.name}, {name}: {built - start:.1f} s to build, {test.seconds:.1f} s {how}")
        return [self.tests[name] for name in dict.fromkeys(names) if self.usable[name]]

    def make(self, targets: list[str]) -> bool:
        return subprocess.run(["ninja", "-C", self.build, *targets], capture_output=True).returncode == 0

    def fingerprint(self) -> str | None:
        """Of what our own sources are in: the library, and the programs that take some of them by themselves."""
        ours = ("libzmalloc.so", "parse_", "test_region")
        programs = [target for target in self.targets.values() if Path(target).name.startswith(ours)]
        if not self.make(programs):
            return None
        return " ".join(hashlib.sha256((self.build / program).read_bytes()).hexdigest() for program in programs)

    def noticed_by(self, tests: list[Test], order: Counter[str]) -> str:
        """The first test that fails, and how; or nothing."""
        for test in sorted(tests, key=lambda test: -order[test.name] / (test.seconds + 0.1)):
            if not self.make(test.targets):
                return f"{test.name}: does not build"
            how = test.run()
            if how:
                order[test.name] += 1
                return f"{test.name}: {how}"
        return ""


@dataclass
class File:
    """What became of the changes to one file."""

    name: str
    wanted: int
    rest: list[Mutant]
    trees: list[str]
    tests: list[str]
    order: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    tried: int = 0
    judged: int = 0
    survivors: list[Mutant] = field(default_factory=list)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def first_that_fits(file: str, table: dict[str, list[str]]) -> list[str]:
    return next(row for pattern, row in table.items() if fnmatch(file, pattern))


def names_of_tests(file: str, rows: dict[str, list[str]]) -> list[str]:
    """A header has the row of its source."""
    row = rows.get(file, rows.get(str(Path(file).with_suffix(".c")), []))
    return [*row, *first_that_fits(file, TESTS_OF)]


def patterns_that_fit_nothing(files: list[str]) -> list[str]:
    patterns = [pattern for table in (TREES_OF, TESTS_OF) for pattern in table]
    return [pattern for pattern in patterns if not any(fnmatch(file, pattern) for file in files)]


def choose(files: list[str], count: int, seed: int) -> list[File]:
    """As many of each file as it has of all possible changes, but three at least."""
    mutants = {file: mutants_of(ROOT, file) for file in files}
    total = sum(map(len, mutants.values()))
    rows = rows_of_tests()
    chosen = []
    for file, all_of_it in mutants.items():
        random.Random(f"{seed} {file}").shuffle(all_of_it)
        wanted = max(3, round(count * len(all_of_it) / total))
        if all_of_it:
            trees = first_that_fits(file, TREES_OF)
            chosen.append(File(file, wanted, all_of_it, trees, names_of_tests(file, rows)))
    return chosen


class Run:
    def __init__(self, folder: Path, setup: list[str], sources: list[str]) -> None:
        self.folder = folder
        self.setup = setup
        self.sources = sources
        self.trees: dict[str, Tree] = {}
        self.original: dict[str, str | None] = {}

    def tree(self, name: str) -> Tree:
        if name not in self.trees:
            self.trees[name] = Tree(name, self.folder, self.sources, self.setup)
            self.original[name] = self.trees[name].fingerprint()
        return self.trees[name]

    def judge(self, mutant: Mutant, file: File) -> str | None:
        """Who noticed; "": nobody; None: it is no change at all."""
        is_change = False
        for name in file.trees:
            tree = self.tree(name)
            tests = tree.prepare(file.tests)
            source = tree.source / mutant.file
            text = source.read_text()
            source.write_text(mutant.apply(text))
            try:
                made = tree.fingerprint()
                if made is None:
                    return None
                if made == self.original[name]:
                    continue
                if f"{name} {made}" in file.seen:
                    return None
                file.seen.add(f"{name} {made}")
                is_change = True
                who = tree.noticed_by(tests, file.order)
                if who:
                    return f"{name}, {who}"
            finally:
                source.write_text(text)
        return "" if is_change else None

    def try_next(self, file: File, equivalents: dict[tuple[str, str, str], str]) -> None:
        """Goes on to the next change that is one."""
        while file.rest:
            mutant = file.rest.pop()
            if mutant.key in equivalents:
                file.judged += 1
                continue
            who = self.judge(mutant, file)
            if who is None:
                continue
            file.tried += 1
            if not who:
                file.survivors.append(mutant)
            say(f"{mutant.file}:{mutant.line}: {mutant.before} -> {mutant.after}: {who or 'NOT NOTICED'}")
            return


def report(files: list[File]) -> float:
    """The share that was noticed."""
    print(f"\n{'file':32} {'tried':>6} {'killed':>6} {'judged':>6}")
    for file in files:
        print(f"{file.name:32} {file.tried:6} {file.tried - len(file.survivors):6} {file.judged:6}")
    for file in files:
        for mutant in file.survivors:
            print(f"\nnot noticed, line {mutant.line}:\n{mutant.key[0]}\n- {mutant.before}\n+ {mutant.after}")
    tried = sum(file.tried for file in files)
    killed = tried - sum(len(file.survivors) for file in files)
    print(f"\nfigure: {tried} mutants tried\nfigure: {killed} mutants killed")
    return killed / tried if tried else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the copies are built")
    parser.add_argument("--count", type=int, default=320)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=float, default=0.9, help="the share that must be noticed")
    parser.add_argument("--files", nargs="*", default=["src/*"], metavar="PATTERN", help="only those that fit one")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin none after that time")
    parser.add_argument("--trees", nargs="*", help="only in these")
    parser.add_argument("--setup", default="meson setup", help="how a tree is configured")
    arguments = parser.parse_args()

    ours = files_that_run_here()
    lost = patterns_that_fit_nothing(ours)
    if lost:
        sys.exit("no source fits " + ", ".join(lost))
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    sources = [file for file in listed.splitlines() if (ROOT / file).is_file()]
    equivalents = read_equivalents(HERE / "equivalents.txt")
    for key in stale(ROOT, equivalents):
        sys.exit("equivalents.txt has what is not there: " + " | ".join(key))

    files = [file for file in ours if any(fnmatch(file, pattern) for pattern in arguments.files)]
    run = Run(arguments.folder.resolve(), arguments.setup.split(), sources)
    chosen = choose(files, arguments.count, arguments.seed)
    if arguments.trees:
        for file in chosen:
            file.trees = [tree for tree in file.trees if tree in arguments.trees]
        chosen = [file for file in chosen if file.trees]
    turns = [file for file in chosen for _ in range(file.wanted)]
    random.Random(arguments.seed).shuffle(turns)
    end = time.monotonic() + 60 * arguments.minutes
    try:
        for file in turns:
            if time.monotonic() > end:
                say("time is up")
                break
            run.try_next(file, equivalents)
    except KeyboardInterrupt:
        say("stopped")
    return 0 if report(chosen) >= arguments.least else 1


if __name__ == "__main__":
    sys.exit(main())
