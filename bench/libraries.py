# SPDX-License-Identifier: BSD-3-Clause
"""Instructions by way of a shared library: linked, loaded by a running process, and in a module for scripts."""

from __future__ import annotations

from instructions import MARGIN, instructions_of
from measure import Results, Tree, table

WAYS = {"zmalloc": "static", "linked": "shared, linked", "loaded": "shared, loaded", "module": "module"}

# What they may cost more than plain, where thread-local storage is found by descriptors.
MOST_OVER_PLAIN = {
    "jemalloc": {"linked": 25, "loaded": 52, "module": 52},
    "jemalloc 5.3.1": {"linked": 25, "loaded": 53, "module": 53},
    "tcmalloc": {"module": 70},
    "libc": {"linked": 45, "loaded": 43, "module": 51},
}


def has_descriptors(tree: Tree) -> bool:
    """Whether the compiler was told to use them."""
    return "-mtls-dialect=gnu2" in (tree.folder / "compile_commands.json").read_text()


def verdict(tree: Tree, over: dict[str, float]) -> str:
    """Whether the costs are as they are held to be."""
    limits = MOST_OVER_PLAIN.get(tree.name, {}) if has_descriptors(tree) else {}
    past = [f"{WAYS[name]} at most +{most}: NO" for name, most in limits.items() if over[name] > most * MARGIN]
    return ", ".join(past) if past else "yes" if limits else ""


def libraries(trees: list[Tree], rounds: int) -> Results:
    """Instructions of a malloc and a free through a shared library, by callgrind."""
    del rounds  # they come out the same every time
    results: Results = {}
    rows = []
    for tree in trees:
        if not (tree.bench / "churn-linked").exists():  # a tree without the shared library
            continue
        counts = {name: instructions_of(tree, name, "mixed") for name in ["none", "plain", *WAYS]}
        over = {name: counts[name] - counts["plain"] for name in WAYS}
        results[tree.name] = {"plain": counts["plain"] - counts["none"], **over}
        figures = (f"+{value:.1f}" for value in over.values())
        rows.append([tree.name, f"{counts['plain'] - counts['none']:.1f}", *figures, verdict(tree, over)])
    columns = ["", "plain", *WAYS.values(), "held to"]
    table("libraries: a malloc and a free, harness subtracted; the others as more than plain", columns, rows)
    if any("NO" in row[-1] for row in rows):
        results["failed"] = {}
    return results
