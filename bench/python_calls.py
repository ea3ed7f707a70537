# SPDX-License-Identifier: BSD-3-Clause
"""What calls cost in Python, next to the alternatives. Usage: python_calls.py LIBRARY ROUNDS

The contenders take turns. It prints a line for each: its name, and the median of its nanoseconds a call, of the
processor.
"""

from __future__ import annotations

import ctypes
import importlib.util
import statistics
import sys
import time
import timeit

import zmalloc

SIZES = [16, 1000, 100_000]


def main() -> None:
    """Times short runs of every contender in turn."""
    library = ctypes.CDLL(sys.argv[1])
    library.zmalloc_used_memory.restype = ctypes.c_size_t
    library.zmalloc_used_memory.argtypes = []
    names = {"used_memory": zmalloc.used_memory, "by_ctypes": library.zmalloc_used_memory, "Block": zmalloc.Block}
    statements = {"used_memory": "used_memory()", "by_ctypes": "by_ctypes()"}
    if importlib.util.find_spec("cffi") is not None:
        from cffi import FFI

        interface = FFI()
        interface.cdef("size_t zmalloc_used_memory(void);")
        names["by_cffi"] = interface.dlopen(sys.argv[1]).zmalloc_used_memory
        statements["by_cffi"] = "by_cffi()"
    for size in SIZES:
        statements |= {f"Block {size}": f"Block({size})", f"bytearray {size}": f"bytearray({size})"}
    clock = time.process_time
    timers = {name: timeit.Timer(statement, timer=clock, globals=names) for name, statement in statements.items()}
    times: dict[str, list[float]] = {name: [] for name in timers}
    count = 20_000
    for _ in range(int(sys.argv[2]) * 5):
        for name, timer in timers.items():
            times[name].append(timer.timeit(count) / count * 1e9)
    for name, values in times.items():
        print(f"{name}: {statistics.median(values)}")


main()
