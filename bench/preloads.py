# SPDX-License-Identifier: BSD-3-Clause
"""Programs that were not built for the library: under each library to preload, and under its allocator's own one."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from instructions import BY_BYTES, CALLGRIND, MARGIN, instructions_of
from measure import Results, Tree, table

# What a malloc and free may take more than under the allocator's own library, in instructions.
MOST_OVER_OWN = {"jemalloc": 30, "tcmalloc": 75, "libc": 75, "mimalloc": 75}

# What a program's time is to be, of that under the allocator's own library. Told, and not held: time is noisy.
WITHIN = 0.03

SOURCE = Path(__file__).parent.parent
COMPILATION = ["gcc", "-O2", "-c", "-o", "/dev/null", f"-I{SOURCE / 'include'}", f"-I{SOURCE / 'src'}",
               "-D_GNU_SOURCE", '-DZM_ALLOCATOR_HOT_HALF="libc.h"', str(SOURCE / "src" / "zmalloc.c")]  # fmt: skip
REQUESTS = 200_000


def libraries_of(trees: list[Tree]) -> dict[str, tuple[Tree, Path]]:
    """A library for each allocator: the same is not measured twice."""
    found: dict[str, tuple[Tree, Path]] = {}
    for tree in trees:
        for path in sorted((tree.folder / "src" / "preload").glob("libzmalloc-preload-*.so")):
            found.setdefault(path.stem.split("-")[-1], (tree, path.resolve()))
    return found


def path_in(command: list[str], pattern: str) -> str | None:
    """A library's path, as ldd or ldconfig prints it."""
    said = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    match = re.search(rf"{pattern}.* => (/\S+)", said.stdout)
    return match[1] if match else None


def own_library(name: str, ours: Path) -> str | None:
    """The allocator's own: what ours is linked with, Debian's jemalloc beside our private one; None: there's none."""
    if name == "libc":
        return path_in(["ldd", str(ours)], r"libc\.so")
    if name == "jemalloc":
        return path_in([shutil.which("ldconfig") or "/sbin/ldconfig", "-p"], r"libjemalloc\.so\.2")
    return path_in(["ldd", str(ours)], f"lib{name}")


def pairs(trees: list[Tree]) -> tuple[dict[str, tuple[Tree, Path, str]], list[list[str]]]:
    """Ours and the allocator's own, and rows for those that can't be compared."""
    found, rows = {}, []
    for name, (tree, ours) in libraries_of(trees).items():
        own = own_library(name, ours)
        if own is None:
            rows.append([name, f"its own library is not installed: lib{name}"])
        else:
            found[name] = (tree, ours, own)
    return found, rows


def preload(trees: list[Tree], rounds: int) -> Results:
    """Instructions of a malloc and a free, by callgrind."""
    del rounds  # they come out the same every time
    results: Results = {}
    found, rows = pairs(trees)
    for name, (tree, ours, own) in found.items():
        own_count = instructions_of(tree, "system", "mixed", LD_PRELOAD=own, MALLOC_CONF=BY_BYTES)
        over = instructions_of(tree, "system", "mixed", LD_PRELOAD=str(ours)) - own_count
        harness = instructions_of(tree, "none", "mixed")
        results[name] = {"own": own_count - harness, "zmalloc": over}
        most = MOST_OVER_OWN[name]
        held = "yes" if over <= most + 0.05 else "nearly" if over <= most * MARGIN else "NO"
        rows.append([name, f"{own_count - harness:.1f}", f"{over:+.1f}", f"at most {most:+}: {held}"])
    table("preload: a malloc and a free, harness subtracted", ["", "its own library", "ours, more", "held to"], rows)
    if any("NO" in row[-1] for row in rows):
        results["failed"] = {}
    return results


def compile_counted(library: str) -> int:
    """Instructions of the compiler and all that it starts."""
    command = [*CALLGRIND, "--trace-children=yes", *COMPILATION]
    environment = {**os.environ, "LD_PRELOAD": library, "LC_ALL": "C"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return sum(map(int, re.findall(r"Collected : (\d+)", done.stderr)))


def compile_once(library: str) -> tuple[float, float]:
    """Seconds that a compiler takes, and of processors."""
    start = time.monotonic()
    with subprocess.Popen(COMPILATION, env={**os.environ, "LD_PRELOAD": library}) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, COMPILATION)
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime


def serve_once(library: str) -> tuple[float, float]:
    """Seconds that redis-benchmark takes, and of processors its server."""
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/socket"
        server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder],
            env={**os.environ, "LD_PRELOAD": library}, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not os.path.exists(socket):
                if server.poll() is not None:
                    raise subprocess.CalledProcessError(server.returncode, "redis-server")
                time.sleep(0.01)
            asked = ["redis-benchmark", "-s", socket, "-q", "-t", "set,get,lpush,hset", "-d", "100", "-r", "100000"]
            start = time.monotonic()
            subprocess.run([*asked, "-n", str(REQUESTS), "-P", "16"], check=True, stdout=subprocess.DEVNULL)
            wall = time.monotonic() - start
        finally:
            server.terminate()
            _, status, usage = os.wait4(server.pid, 0)
            server.returncode = os.waitstatus_to_exitcode(status)
    return wall, usage.ru_utime + usage.ru_stime


def alternate(once: Callable[[str], tuple[float, float]], ours: str, own: str, rounds: int) -> tuple[float, float]:
    """The median ratios of both times. The first round warms up; who comes first changes."""
    ratios = []
    for i in range(max(rounds, 1) + 1):
        both = [own, ours]
        times = {library: once(library) for library in (both if i % 2 else both[::-1])}
        ratios.append((times[ours][0] / times[own][0], times[ours][1] / times[own][1]))
    return statistics.median(wall for wall, _ in ratios[1:]), statistics.median(its for _, its in ratios[1:])


WORK: dict[str, tuple[list[str], Callable[[str], tuple[float, float]], Callable[[str], int] | None]] = {
    "gcc -O2 -c": (["gcc", "valgrind"], compile_once, compile_counted),
    "redis-benchmark": (["redis-server", "redis-benchmark"], serve_once, None),
}


def programs(trees: list[Tree], rounds: int) -> Results:
    """Time and instructions of real programs, of those under the allocator's own library."""
    results: Results = {}
    found, rows = pairs(trees)
    for what, (needed, once, counted) in WORK.items():
        missing = [program for program in needed if shutil.which(program) is None]
        if missing:
            rows.append([what, f"not installed: {', '.join(missing)}"])
            continue
        for name, (_, ours, own) in found.items():
            wall, processor = alternate(once, str(ours), own, rounds)
            ratios = {"wall": wall, "processor": processor}
            if counted is not None:
                ratios["instructions"] = counted(str(ours)) / counted(own)
            results[f"{what}, {name}"] = ratios
            figures = [f"{ratio - 1:+.1%}" for ratio in ratios.values()] + [""] * (3 - len(ratios))
            rows.append([f"{what}, {name}", *figures, "yes" if wall <= 1 + WITHIN else "no, as measured here"])
    columns = ["", "wall time", "processor time", "instructions", f"wall time within {WITHIN:.0%}"]
    table("programs: under ours, more than under the allocator's own library", columns, rows)
    return results
