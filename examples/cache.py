# SPDX-License-Identifier: BSD-3-Clause
"""The cache of cache.c in Python: the lines of some texts in Blocks, within a budget, the oldest going first."""

import sys
import time
from collections import OrderedDict
from pathlib import Path

import zmalloc

TEXTS = Path("/usr/share/common-licenses")

cache: OrderedDict[str, zmalloc.Block] = OrderedDict()
evicted = 0


def evict_oldest(size: int) -> bool:
    """The budget is used up: what asked is served once enough has gone."""
    global evicted
    if not cache:
        return False
    cache.popitem(last=False)[1].close()
    evicted += 1
    return True


def look_up(line: str) -> zmalloc.Block:
    """The line's Block, from the cache if it is there."""
    block = cache.get(line)
    if block is None:
        text = line.encode()
        block = zmalloc.Block(len(text))  # may evict
        block[:] = text
        cache[line] = block
    cache.move_to_end(line)
    return block


def main() -> int:
    """Looks lines up for as long as asked; tells the most bytes that were ever in use."""
    budget = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    end = time.monotonic() + (float(sys.argv[2]) if len(sys.argv) > 2 else 3)
    lines = [line for path in sorted(TEXTS.iterdir()) for line in path.read_text(errors="replace").splitlines(True)]
    zmalloc.set_oom_handler(evict_oldest, retry=True)
    most = looked_up = 0
    with zmalloc.limit(budget):
        while time.monotonic() < end:
            for line in lines:
                look_up(line)
                most = max(most, zmalloc.used_memory())
            looked_up += len(lines)
    print(f"budget:{budget}\nmost_used_memory:{most}\nentries:{len(cache)}\nevicted:{evicted}\nlooked_up:{looked_up}")
    return 0 if most <= budget else 1


if __name__ == "__main__":
    sys.exit(main())
