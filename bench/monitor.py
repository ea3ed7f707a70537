# SPDX-License-Identifier: BSD-3-Clause
"""What a Monitor costs that takes 10 samples a second. Usage: monitor.py wake|few|many|walk|other SECONDS

It prints the part of a processor that the monitor's thread took over that time, in percent.

wake: a thread that wakes as often and does nothing. few: a process with little memory. many: a process with 100,000
blocks, a third of them freed. walk: the same, with a walk of the page tables for each sample. other: a Monitor of
another process.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import zmalloc

INTERVAL = 0.1


def blocks(kind: str) -> list[zmalloc.Block]:
    """The memory that is looked at."""
    if kind not in ("many", "walk"):
        return []
    kept = [zmalloc.Block(16 + number * 7919 % 1000) for number in range(100_000)]
    del kept[::3]
    return kept


def thread_seconds(monitor: zmalloc.Monitor, seconds: float) -> float:
    """The processor's time that the monitor's thread takes over that time, the kernel's part included."""
    with monitor:
        [thread] = [thread for thread in threading.enumerate() if thread.name == "zmalloc-monitor"]
        if thread.ident is None:
            sys.exit("the monitor has no thread")
        clock = time.pthread_getcpuclockid(thread.ident)
        time.sleep(5 * INTERVAL)
        before, taken, start = time.clock_gettime(clock), monitor.taken, time.monotonic()
        time.sleep(seconds)
        spent, count, passed = time.clock_gettime(clock) - before, monitor.taken - taken, time.monotonic() - start
    if count < 0.8 * passed / INTERVAL:
        sys.exit(f"{count} samples in {passed:.1f} seconds: the machine is too busy")
    return spent / passed


def waking_seconds(seconds: float) -> float:
    """The same for a thread that only wakes."""
    spent: list[float] = []

    def wake() -> None:
        lock = threading.Lock()
        lock.acquire()
        start, before = time.monotonic(), time.thread_time()
        while time.monotonic() - start < seconds:
            lock.acquire(timeout=INTERVAL)
        spent.append((time.thread_time() - before) / (time.monotonic() - start))

    thread = threading.Thread(target=wake)
    thread.start()
    thread.join()
    return spent[0]


def main() -> None:
    """Measures once."""
    kind, seconds = sys.argv[1], float(sys.argv[2])
    if kind == "wake":
        print(100 * waking_seconds(seconds))
        return
    kept = blocks(kind)
    with subprocess.Popen(["sleep", "10000"]) as sleeper:
        pid = sleeper.pid if kind == "other" else None
        print(100 * thread_seconds(zmalloc.Monitor(INTERVAL, walk=kind == "walk", pid=pid), seconds))
        sleeper.kill()
    del kept


main()
