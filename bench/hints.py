# SPDX-License-Identifier: BSD-3-Clause
"""Instructions of the question whether a block is worth moving, and what they are held to."""

from __future__ import annotations

from instructions import CALLGRIND, MARGIN, collected
from libraries import has_descriptors
from measure import Results, Tree, table

WAYS = {"zmalloc": "static", "linked": "shared, linked"}

# By the way, and by whether blocks are asked about one by one or many at once.
MOST = {"zmalloc": {"one": 398, "many": 386}, "linked": {"one": 413, "many": 400}}
ROUNDS = (2, 6)


def instructions_of(tree: Tree, contender: str, how: str) -> float:
    """Instructions for a block: start and end cancel out between a short and a long run."""
    runs = [tree.run(f"hint-{contender}", how, rounds, wrapper=CALLGRIND) for rounds in ROUNDS]
    counts = [collected(run) for run in runs]
    asked = [int(run.stdout) for run in runs]
    return (counts[1] - counts[0]) / (asked[1] - asked[0])


def hint(trees: list[Tree], rounds: int) -> Results:
    """Instructions of a question about a block, by callgrind. Only jemalloc has an answer."""
    del rounds  # they come out the same every time
    results: Results = {}
    rows = []
    for tree in trees:
        for how in ("one", "many") if tree.name == "jemalloc" else ():
            ways = [way for way in WAYS if (tree.bench / f"hint-{way}").exists()]
            counts = {way: instructions_of(tree, way, how) for way in ways}
            results[f"{tree.name} {how}"] = counts
            past = [way for way in ways if counts[way] > MOST[way][how] * MARGIN]
            held = ", ".join(f"{WAYS[way]} at most {MOST[way][how]}: NO" for way in past)
            known = "linked" not in ways or has_descriptors(tree)
            figures = (f"{counts[way]:.1f}" if way in counts else "–" for way in WAYS)
            rows.append([f"{tree.name}, {how}", *figures, (held or "yes") if known else ""])
    if rows:
        table("hint: whether a block is worth moving, instructions a block", ["", *WAYS.values(), "held to"], rows)
    if any("NO" in row[-1] for row in rows):
        results["failed"] = {}
    return results
