# SPDX-License-Identifier: BSD-3-Clause
"""What the mappings of another process cost in Python. Usage: ask_mappings.py zmalloc|psutil PID TIMES; prints
microseconds each."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def asker(contender: str, pid: int) -> Callable[[], list]:
    """The call that tells all mappings of the process with all their figures."""
    if contender == "zmalloc":
        import zmalloc

        return lambda: zmalloc.mappings(pid)
    import psutil

    process = psutil.Process(pid)
    return lambda: process.memory_maps(grouped=False)


def main() -> None:
    """Asks once to warm up, and then as often as told."""
    contender, pid, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ask = asker(contender, pid)
    if len(ask()) < 10_000:
        sys.exit("the process has too few mappings")
    start = time.perf_counter()
    for _ in range(times):
        ask()
    print((time.perf_counter() - start) / times * 1e6)


main()
