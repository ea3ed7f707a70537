# SPDX-License-Identifier: BSD-3-Clause
"""The memory layers of servers beside zmalloc: their own zmalloc.c over their own jemalloc, from Debian's sources."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
from blocks import KEYS, texts  # noqa: E402
from debian_source import run, source, version  # noqa: E402
from instructions import CALLGRIND, collected, instructions_of  # noqa: E402
from measure import Results, Tree, table  # noqa: E402

# The package and the suite that its source is taken from.
SERVERS = [("redis", "bookworm"), ("redis", "forky"), ("valkey", "forky")]

# What a server's own build says, and the names that contender.h asks for.
FLAGS = ["-O3", "-std=gnu11", "-w", "-D_GNU_SOURCE", "-DUSE_JEMALLOC", "-fno-omit-frame-pointer"]
NAMES = ["MALLOC=je_malloc", "CALLOC=je_calloc", "REALLOC=je_realloc", "FREE=je_free", "SIZE=je_malloc_usable_size",
         "ALIGNED=je_aligned_alloc"]  # fmt: skip

# What their zmalloc.c calls of the rest of the server: where it gives up.
REST = """
#include <stdlib.h>
void _serverAssert(const char *condition, const char *file, int line) { abort(); }
void _serverPanic(const char *file, int line, const char *text, ...) { abort(); }
"""

HERE = Path(__file__).parent


class Server(Tree):
    """A server's source, with its jemalloc built by its own Makefile. Its programs are as a Tree's."""

    def __init__(self, package: str, suite: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.bench = folder
        sources = source(package, suite, folder)
        self.name = f"{package} {version(folder)}"
        jemalloc = sources / "deps/jemalloc"
        if not (jemalloc / "lib/libjemalloc.a").exists():
            run("make", "-C", sources / "deps", "-j2", "jemalloc")
        include = [f"-I{sources / 'src'}", f"-I{jemalloc / 'include'}", f"-I{jemalloc / 'include/jemalloc'}"]
        (folder / "rest.c").write_text(REST)
        for program, contender in (("churn", "zmalloc"), ("churn", "plain"), ("churn", "none"), ("read", "zmalloc"),
                                   ("keys", "zmalloc")):  # fmt: skip
            run("cc", *FLAGS, *include, *(f"-DPLAIN_{name}" for name in NAMES), f"-DCONTENDER_{contender}",
                "-DWITHOUT_ALIGNED", "-o", folder / f"{program}-{contender}", HERE / f"{program}.c",
                sources / "src/zmalloc.c", folder / "rest.c", jemalloc / "lib/libjemalloc.a", "-lpthread", "-ldl",
                "-lm")  # fmt: skip


def reading(tree: Tree, threads: int) -> float:
    """Instructions of one reading of the bytes in use, where so many threads live."""
    runs = (tree.run("read-zmalloc", threads, "idle", count, wrapper=CALLGRIND) for count in (1000, 4000))
    counts = [collected(run) for run in runs]
    return (counts[1] - counts[0]) / 3000


def figures(tree: Tree) -> dict[str, float]:
    """What a layer adds to its allocator's calls, what a reading takes, and the memory of a small key."""
    adds = {}
    for workload in ("mixed", "usable", "realloc"):
        plain = instructions_of(tree, "plain", workload)
        adds[workload] = instructions_of(tree, "zmalloc", workload) - plain
        if workload == "mixed":
            adds = {"plain": plain - instructions_of(tree, "none", workload), **adds}
    one, nine = reading(tree, 1), reading(tree, 9)
    used = float(tree.run("keys-zmalloc", KEYS, *texts()).stdout.split()[1])
    return {**adds, "reading": one, "each further thread": (nine - one) / 8, "key": used}


def servers(trees: list[Tree], rounds: int) -> Results:
    """Instructions and memory of servers' layers, and of zmalloc over jemalloc."""
    del rounds  # they come out the same every time
    results: Results = {}
    rows = []
    layers: list[Tree] = []
    for package, suite in SERVERS:
        try:
            layers.append(Server(package, suite, Path("build/servers").resolve() / f"{package}-{suite}"))
        except (OSError, subprocess.CalledProcessError, StopIteration) as error:
            said = getattr(error, "stderr", None) or error
            rows.append([f"{package} of {suite}", f"can't be had: {str(said).strip().splitlines()[-1:]}"])
            print(f"servers: {package} of {suite}: {said}", file=sys.stderr)
    for tree in [*(tree for tree in trees if tree.name.startswith("jemalloc")), *layers]:
        results[tree.name] = figures(tree)
        rows.append([tree.name, *(f"{value:.1f}" for value in results[tree.name].values())])
    columns = ["", "plain", "the layer, more", "usable, more", "realloc, more", "a reading", "a thread further",
               "bytes a key"]  # fmt: skip
    table("servers: instructions of their own layers over their own jemalloc, and memory", columns, rows)
    return results
