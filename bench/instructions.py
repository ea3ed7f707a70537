# SPDX-License-Identifier: BSD-3-Clause
"""Instructions, which are the same on any machine, and what they are held to."""

from __future__ import annotations

import re
import subprocess
import sys

from measure import CONTENDERS, MODELS, Results, Tree, table

# What zmalloc may cost in instructions for a malloc and free: more than plain, or of what the slots model costs more
# than plain. The margin is for other compilers.
MOST_OVER_PLAIN = {"jemalloc": 8, "jemalloc 5.3.1": 9}
MOST_OF_SLOTS = {"tcmalloc": 0.5, "mimalloc": 0.5, "libc": 0.5, "libc, prefix": 0.84}
MARGIN = 1.1
MARGIN_OF_CALLS = 2
# The C library itself takes a little more or less for the same calls, by where its blocks came to lie.
MARGIN_OF_PLAIN = 0.01

# What other calls may cost more than plain. With "usable", plain asks for each block's size too.
CALLS = {
    "usable": "malloc_usable and free",
    "aligned": "aligned for 64, and free",
    "realloc": "growth by realloc",
}
MOST_OF_CALLS: dict[str, dict[str, float]] = {
    "jemalloc": {"usable": 0, "aligned": -40, "realloc": 17},
    "jemalloc 5.3.1": {"usable": 0, "aligned": -40, "realloc": 17},
    "tcmalloc": {"usable": 33, "aligned": 80, "realloc": 96},
    "libc": {"usable": 29, "aligned": 51, "realloc": 43},
    "mimalloc": {"usable": 33, "aligned": 0, "realloc": 90},
}

# What plain takes with each block's size asked, in the releases that these limits were measured with. A later one's
# question may be dearer (gperftools 2.10: 100, 2.16: 108, 2.18: 104; mimalloc 2.0.9: 83.9, 3.6.0: 90.6), and these
# calls ask it twice.
PLAIN_USABLE = {"tcmalloc": 100, "mimalloc": 83.5}
QUESTIONS = 2

# And with a limit set, which is far away: more than without.
MOST_WITH_LIMIT = 25


CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]


def collected(done: subprocess.CompletedProcess[str]) -> int:
    """The instructions that callgrind counted."""
    match = re.search(r"Collected : (\d+)", done.stderr)
    if match is None:
        sys.exit(f"callgrind printed no count:\n{done.stderr}")
    return int(match[1])


# jemalloc 5.3.1 shrinks threads' caches by the clock, at most once in 10 ms. As 5.3.0 does it, by the bytes that were
# allocated, the count is the same each time.
BY_BYTES = "experimental_tcache_gc:false"


def instructions_of(tree: Tree, contender: str, workload: str, **variables: str) -> float:
    """Instructions of one operation, harness included: start and end cancel out between a short and a long run."""
    if "5.3.1" in tree.name:
        variables["JE_MALLOC_CONF"] = BY_BYTES
    counts = [
        collected(tree.run(f"churn-{contender}", workload, operations, wrapper=CALLGRIND, **variables))
        for operations in (100_000, 400_000)
    ]
    return (counts[1] - counts[0]) / 300_000


def verdict(tree: Tree, over: dict[str, float]) -> str:
    """What zmalloc's cost is held to, and whether it is kept."""
    if tree.name not in MOST_OVER_PLAIN | MOST_OF_SLOTS:
        return ""
    if tree.name in MOST_OVER_PLAIN:
        most = float(MOST_OVER_PLAIN[tree.name])
        text = f"at most +{most:.0f}"
    else:
        most = MOST_OF_SLOTS[tree.name] * over["slots"]
        text = f"at most {MOST_OF_SLOTS[tree.name]:.0%} of slots"
    if over["zmalloc"] <= most + 0.05:
        return f"{text}: yes"
    return f"{text}: {'nearly' if over['zmalloc'] <= most * MARGIN else 'NO'}"


def calls(trees: list[Tree]) -> tuple[Results, bool]:
    """Instructions of other calls, and whether one takes too many."""
    results: Results = {}
    rows = []
    for tree in trees:
        dearer = 0.0
        for workload, what in CALLS.items():
            counts = {name: instructions_of(tree, name, workload) for name in ["none", "plain", "zmalloc"]}
            plain, over = counts["plain"] - counts["none"], counts["zmalloc"] - counts["plain"]
            results[f"{tree.name} {workload}"] = {"plain": plain, "zmalloc": over}
            most = MOST_OF_CALLS.get(tree.name, {}).get(workload)
            if workload == "usable":
                dearer = max(0.0, plain - PLAIN_USABLE.get(tree.name, plain))
            elif most is not None:
                most += QUESTIONS * dearer
            margin = max(MARGIN_OF_CALLS, plain * MARGIN_OF_PLAIN)
            held = "" if most is None else f"at most {most:+.0f}: {'yes' if over <= most + margin else 'NO'}"
            rows.append([f"{tree.name}, {what}", f"{plain:.1f}", f"{over:+.1f}", held])
    table("instructions: other calls, harness subtracted", ["", "plain", "zmalloc, more", "held to"], rows)
    return results, any("NO" in row[-1] for row in rows)


def instructions(trees: list[Tree], rounds: int) -> Results:
    """Instructions of a malloc and a free, and of other calls, by callgrind."""
    del rounds  # they come out the same every time
    results: Results = {}
    rows = []
    for tree in trees:
        for workload in ["mixed", "fixed"]:
            counts = {name: instructions_of(tree, name, workload) for name in ["none", *CONTENDERS, "limited"]}
            over = {name: counts[name] - counts["plain"] for name in ["zmalloc", *MODELS, "limited"]}
            results[f"{tree.name} {workload}"] = {"plain": counts["plain"] - counts["none"], **over}
            held = verdict(tree, over) if workload == "mixed" else ""
            if over["limited"] - over["zmalloc"] > MOST_WITH_LIMIT * MARGIN:
                held = f"limited at most +{MOST_WITH_LIMIT} more: NO"
            rows.append([
                f"{tree.name}, {workload}", f"{counts['plain'] - counts['none']:.1f}",
                *(f"+{value:.1f}" for value in over.values()), f"{over['zmalloc'] / over['slots']:.0%}", held,
            ])  # fmt: skip
    columns = ["", "plain", "zmalloc", *MODELS, "limited", "zmalloc / slots", "held to"]
    table("instructions: a malloc and a free, harness subtracted; the others as more than plain", columns, rows)
    results_of_calls, too_many = calls(trees)
    if too_many or any("NO" in row[-1] for row in rows):
        results["failed"] = {}
    return results | results_of_calls
