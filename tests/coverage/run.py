# SPDX-License-Identifier: BSD-3-Clause
"""Builds trees that count the branches they take, runs their tests, merges the counts and reports.

A tree is an allocator, "libc-prefix" or "hardened". A test that fails here, where all is slow and watched, is named
and no more: make test is where tests pass.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import report

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

sys.path.append(str(HERE.parent))
from sources import sources_elsewhere  # noqa: E402

# Nothing that installs or builds anew, and nothing that another compiler makes.
SUITES = ["c", "faults", "python", "lua", "hardened"]
TESTS = [[f"--suite={suite}" for suite in SUITES], ["parser"], ["programs death"]]
OURS = [f"--filter={ROOT}/src/", rf"--filter={ROOT}/bindings/.*\.[ch]"]
# Meson's own trial programs were never run.
NOT_OURS = [
    "--exclude-directories=.*/meson-private",
    "--exclude-throw-branches",
    "--exclude-unreachable-branches",
    "--gcov-ignore-parse-errors",
]


def options_of(tree: str) -> list[str]:
    allocator, _, special = ("libc" if tree == "hardened" else tree).partition("-")
    found = [f"-Dallocator={allocator}"]
    found += ["-Dsize_prefix=true"] if special == "prefix" else []
    return found + (["-Dhardened=true"] if tree == "hardened" else [])


def compile_helpers(folder: Path) -> None:
    """A program's counts are written when it ends; by these two, whatever way it takes."""
    compiler = ["cc", "-O1", "-fPIC"]
    subprocess.run([*compiler, "-c", HERE / "mark.c", "-o", folder / "mark.o"], check=True)
    subprocess.run([*compiler, "-shared", HERE / "flush.c", "-o", folder / "flush.so"], check=True)


def begin_counts(build: Path) -> None:
    """Empty, and for all to write to: a process that has become another user would complain where a test listens."""
    for notes in build.rglob("*.gcno"):
        counts = notes.with_suffix(".gcda")
        counts.unlink(missing_ok=True)
        counts.touch()
        counts.chmod(0o666)


def remove_empty_counts(build: Path) -> None:
    for counts in build.rglob("*.gcda"):
        if counts.stat().st_size == 0:
            counts.unlink()


def count(tree: str, folder: Path, meson: str, python: str) -> None:
    build = folder / tree
    print(f"== {tree}: build and test with coverage", flush=True)
    if not (build / "build.ninja").exists():
        parts = ["python", "lua", "tests"]
        command = [meson, "setup", str(build), str(ROOT), *options_of(tree), *(f"-D{part}=enabled" for part in parts)]
        command += ["-Dbenchmarks=disabled", "-Db_coverage=true", "-Doptimization=0", f"-Dpython_command={python}"]
        # Threads count at the same time. What a child did in its fork handlers counts: gcc's own fork would drop it.
        command += ["-Dc_args=-fprofile-update=atomic -fno-builtin-fork"]
        command += [f"-Dc_link_args=--coverage {folder / 'mark.o'}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([meson, "compile", "-C", str(build)], check=True, stdout=subprocess.DEVNULL)
    begin_counts(build)
    for tests in TESTS:
        # Meson builds what these need, and is not watched itself.
        command = [meson, "test", "-C", str(build), "--timeout-multiplier", "5", *tests]
        command += ["--wrapper", f"env LD_PRELOAD={folder / 'flush.so'}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in done.stdout.splitlines():
            if re.search(r" (FAIL|TIMEOUT|ERROR|INTERRUPT) ", line):
                print(line, flush=True)
    remove_empty_counts(build)
    merge([str(build), f"--object-directory={build}", f"--json={folder / tree}.json"], OURS + elsewhere())


def elsewhere() -> list[str]:
    """Other systems' sources are left out."""
    return [f"--exclude={re.escape(str(ROOT / file))}" for file in sorted(sources_elsewhere())]


def merge(sources: list[str], filters: list[str]) -> None:
    subprocess.run(["gcovr", f"--root={ROOT}", *filters, *NOT_OURS, *sources], check=True, cwd=ROOT)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where trees and reports go")
    parser.add_argument("trees", nargs="+")
    parser.add_argument("--least", type=float, default=95, help="percent of branches that must be reached")
    arguments = parser.parse_args()

    gone = report.stale(ROOT, report.read_left(HERE / "left.txt"))
    if gone:
        sys.exit("left.txt has what is not there: " + "; ".join(f"{name}: {line}" for name, line in gone))
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    compile_helpers(folder)
    for tree in arguments.trees:
        count(tree, folder, os.environ.get("MESON", "meson"), os.environ.get("PYTHON", "python3"))

    merged = folder / "merged.json"
    traces = [f"--add-tracefile={folder / tree}.json" for tree in arguments.trees]
    merge([*traces, f"--json={merged}", f"--txt={folder}/coverage.txt", f"--html-details={folder}/index.html"], [])
    return report.report(merged, HERE / "left.txt", arguments.least)


if __name__ == "__main__":
    sys.exit(main())
