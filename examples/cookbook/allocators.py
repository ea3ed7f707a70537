# SPDX-License-Identifier: BSD-3-Clause
"""Which allocator for this program? Runs it with the library of each build directory, and prints what each took.

Usage: allocators.py BUILD... -- PROGRAM [ARGUMENT...]

The program links libzmalloc.so, and finds another one each time. It reports its memory at each stage as kv.c does:
a line "# Loaded: …", and below it lines of names and figures, such as "used_memory 123".
"""

from __future__ import annotations

import os
import re
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROUNDS = 5
MIB = 1 << 20

# What a program reported at each stage.
Stages = dict[str, dict[str, str]]


def run(library: Path, command: list[str]) -> tuple[float, Stages]:
    """Runs the program with the library in that folder: the processor's milliseconds, and what it reported."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library)}
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    parts = re.findall(r"^# ([^:\n]+).*\n((?:\w+ .*\n)+)", output, re.MULTILINE)
    return took * 1000, {name: dict(re.findall(r"(\w+) +(\S+)", figures)) for name, figures in parts}


def compare(libraries: list[Path], command: list[str]) -> list[tuple[float, Stages]]:
    """Each library's median time, and what its last run reported. They take turns: a machine's speed drifts."""
    rounds = [[run(library, command) for library in libraries] for _ in range(ROUNDS)]
    times = [statistics.median(taken for taken, _ in of_one) for of_one in zip(*rounds)]
    return list(zip(times, (stages for _, stages in rounds[-1])))


def main() -> int:
    """A line for each allocator; of each stage the bytes in use and RSS, in MiB."""
    if "--" not in sys.argv[2:-1]:  # a build before it, a program behind
        print(__doc__, file=sys.stderr)
        return 2
    end = sys.argv.index("--")
    results = compare([Path(build, "src") for build in sys.argv[1:end]], sys.argv[end + 1 :])
    names = list(results[0][1])
    print(f"{'':16}{'ms':>8}", *(f"{name:>20}" for name in names))
    for took, stages in results:
        figures = [(int(each["used_memory"]) / MIB, int(each["used_memory_rss"]) / MIB) for each in stages.values()]
        allocator = stages[names[0]]["mem_allocator"]
        print(f"{allocator:16}{took:8.0f}", *(f"{f'{used:.1f} of {rss:.1f}':>20}" for used, rss in figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
