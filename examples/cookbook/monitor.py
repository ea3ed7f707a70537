# SPDX-License-Identifier: BSD-3-Clause
"""Watches itself grow, free blocks here and there, and purge; then draws a picture of it. Needs matplotlib."""

import sys
import time

import zmalloc


def work(monitor: zmalloc.Monitor) -> None:
    kept: list[zmalloc.Block] = []
    for _ in range(60):
        kept += [zmalloc.Block(700 + number % 200) for number in range(1000)]
        time.sleep(0.01)
    time.sleep(0.3)
    monitor.mark("every other block freed")
    del kept[::2]
    time.sleep(0.6)
    monitor.mark("nine of ten left freed")
    del kept[: 9 * len(kept) // 10]
    time.sleep(0.6)
    zmalloc.purge()  # marks itself
    time.sleep(0.6)


def main() -> None:
    if len(sys.argv) > 2:
        sys.exit("Usage: monitor.py [PICTURE]")
    if zmalloc.allocator.startswith("jemalloc"):
        zmalloc.set_decay(-1, -1)  # keep what is free until the purge
    zmalloc.set_limit(56 << 20)  # above this: MemoryError
    zmalloc.set_soft_limit(40 << 20)  # passing this is an event
    with zmalloc.Monitor(interval=0.02) as monitor:  # a thread takes the samples
        work(monitor)
    monitor.plot(sys.argv[1] if len(sys.argv) > 1 else "monitor.png")


if __name__ == "__main__":
    main()
