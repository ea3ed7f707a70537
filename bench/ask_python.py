# SPDX-License-Identifier: BSD-3-Clause
"""What questions about another process cost in Python.

Usage: ask_python.py mappings|field zmalloc|psutil|kernel PID TIMES

It prints microseconds each, of the processor: the kernel works on the account of who asks. `kernel` reads what the
kernel writes of all mappings, and does nothing with it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def read_over(path: str) -> list[int]:
    """Reads all of a file; the lengths of the pieces that it was had in."""
    with open(path, "rb", buffering=0) as file:
        room = bytearray(1 << 16)
        return list(iter(lambda: file.readinto(room) or 0, 0))


def asker(question: str, contender: str, pid: int) -> Callable[[], object]:
    """The call that returns all mappings of the process with all their figures, or a figure that the kernel sums."""
    if contender == "zmalloc":
        import zmalloc

        return {"mappings": lambda: zmalloc.mappings(pid), "field": lambda: zmalloc.smaps("Pss", pid)}[question]
    if contender == "kernel":
        return {"mappings": lambda: read_over(f"/proc/{pid}/smaps")}[question]
    import psutil

    process = psutil.Process(pid)
    return {
        "mappings": lambda: process.memory_maps(grouped=False),
        "field": lambda: process.memory_full_info().pss,
    }[question]


def main() -> None:
    """Asks once to warm up, and then as often as told."""
    question, contender, pid, times = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    ask = asker(question, contender, pid)
    answer = ask()
    if question == "mappings" and contender != "kernel" and len(answer) < 10_000:
        sys.exit("the process has too few mappings")
    start = time.process_time()
    for _ in range(times):
        ask()
    print((time.process_time() - start) / times * 1e6)


main()
