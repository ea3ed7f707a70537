# SPDX-License-Identifier: BSD-3-Clause
"""A cache of lines that is thinned out, defragments in steps of a millisecond, and draws it. Needs matplotlib."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import zmalloc

TEXTS = Path("/usr/share/common-licenses")
LINES = 250_000
STEP = 0.001  # seconds; others wait no longer than that
WORTH = 0.05  # a round that frees more than this part of all pages is followed by another


def show(what: str) -> None:
    memory = zmalloc.report()
    figures = (memory.used, memory.active, memory.allocator_frag_smallbins_bytes, memory.rss)
    print(f"{what:16}" + "".join(f"{figure / 2**20:12.1f}" for figure in figures))


def fill(texts: list[Path]) -> list[zmalloc.Block]:
    """Every line in a Block of its own, again and again until there are enough."""
    lines = [line for path in texts for line in path.read_bytes().splitlines() if line]
    cache = []
    for i in range(LINES):
        block = zmalloc.Block(len(lines[i % len(lines)]))
        block[:] = lines[i % len(lines)]
        cache.append(block)
    return cache


def defrag(cache: list[zmalloc.Block]) -> float:
    """One round, as a server makes it between requests. Returns how much of the pages in use became free."""
    start, steps, moved, freed = 0, 0, 0, 0
    while start < len(cache):
        done = zmalloc.defrag(cache, start=start, max_seconds=STEP)
        start, steps = done.position, steps + 1
        moved, freed = moved + done.moved, freed + done.freed_bytes
        time.sleep(STEP)  # what a server would do meanwhile
    print(f"{moved} of {len(cache)} lines moved in {steps} steps, {freed / 2**20:.1f} MiB of pages became free")
    return freed / zmalloc.report().active


def work(monitor: zmalloc.Monitor, texts: list[Path]) -> None:
    print(f"{'MiB':16}{'used':>12}{'active':>12}{'small bins':>12}{'rss':>12}")
    cache = fill(texts)
    show("full")
    time.sleep(0.3)
    monitor.mark("three of four dropped")
    cache = random.Random(1).sample(cache, len(cache) // 4)  # one of four is left, anywhere
    show("thinned out")
    time.sleep(0.3)
    zmalloc.purge()
    show("purged")
    time.sleep(0.3)
    monitor.mark("defragmented")
    while defrag(cache) > WORTH:
        time.sleep(0.3)
    zmalloc.purge()
    show("and moved")
    time.sleep(0.3)


def main() -> None:
    if len(sys.argv) > 2:
        sys.exit("Usage: defrag.py [PICTURE]")
    texts = sorted(TEXTS.iterdir())
    try:
        zmalloc.defrag([])
    except OSError as error:
        sys.exit(f"{zmalloc.allocator} can't tell which blocks to move: {error.strerror}")
    with zmalloc.Monitor(interval=0.02) as monitor:
        work(monitor, texts)
    monitor.plot(sys.argv[1] if len(sys.argv) > 1 else "defrag.png")


if __name__ == "__main__":
    main()
