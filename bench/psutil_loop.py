# SPDX-License-Identifier: BSD-3-Clause
"""What a loop costs that reads this process's RSS by psutil, as often as monitor.py's. Usage: psutil_loop.py SECONDS

It prints the part of a processor that it takes, in percent.
"""

from __future__ import annotations

import sys
import time

import psutil

INTERVAL = 0.1


def main() -> None:
    """Warms up, then measures once."""
    process = psutil.Process()
    spent = passed = 0.0
    for seconds in (5 * INTERVAL, float(sys.argv[1])):
        before, start = time.thread_time(), time.monotonic()
        while time.monotonic() < start + seconds:
            process.memory_info().rss
            time.sleep(INTERVAL)
        spent, passed = time.thread_time() - before, time.monotonic() - start
    print(100 * spent / passed)


main()
