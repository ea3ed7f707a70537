# SPDX-License-Identifier: BSD-3-Clause
"""What a server does a second, and the memory that it takes."""

from __future__ import annotations

import csv
import statistics
import subprocess
import time
from pathlib import Path

from builds import Build
from client import Client, running

OPERATIONS = 300_000
KEYS = 1_000_000
AT_REST = 30  # seconds: jemalloc gives back what has been free for 10, and its thread for that wakes up now and then
ASKED_IN_A_ROUND = 1_500_000  # at most: of a quarter of the keys, with their entries and values
FIGURES = {"used": "used_memory", "active": "allocator_active", "rss": "used_memory_rss"}
DEFRAG = {
    "active-defrag-ignore-bytes": "1mb",
    "active-defrag-threshold-lower": "2",
    "active-defrag-threshold-upper": "10",
    "active-defrag-cycle-min": "40",
    "active-defrag-cycle-max": "60",
}


def on_processor(process: subprocess.Popen[bytes]) -> float:
    """Seconds that its main thread has run. Those in which it waited for a processor are not among them."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9


def run_benchmark(build: Build, port: int, command: str) -> tuple[float, float]:
    """Operations a second, and the server's microseconds of processor for one."""
    with running(build, port) as (process, _):
        start = on_processor(process)
        words = [str(build.benchmark), "-p", str(port), "-t", command.lower(), "-n", str(OPERATIONS), "-r", "100000",
                 "-d", "20", "-P", "16", "--csv"]  # fmt: skip
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        took = on_processor(process) - start
    [rate] = [float(row[1]) for row in csv.reader(said.splitlines()) if row[0] == command]
    return rate, took / OPERATIONS * 1e6


def speed(builds: list[Build], port: int, rounds: int) -> dict[str, dict[str, float]]:
    """Operations a second and microseconds of one: the median of rounds in which each build runs once."""
    found: dict[str, dict[str, list[float]]] = {str(build): {} for build in builds}
    for _ in range(rounds):
        for build in builds:
            for command in ("SET", "GET"):
                rate, took = run_benchmark(build, port, command)
                found[str(build)].setdefault(command, []).append(rate)
                found[str(build)].setdefault(f"{command}, µs", []).append(took)
    return {name: {kind: statistics.median(values) for kind, values in kinds.items()}
            for name, kinds in found.items()}  # fmt: skip


def settled(client: Client, seconds: float = 900) -> None:
    """Until active defragmentation ends, or has looked at all blocks without a move: a server goes on as long as its
    figure is above its threshold, whether or not there is a block that it can move."""
    quiet, moved, asked_then, end = 0, -1, 0, time.monotonic() + seconds
    while quiet < 5 and time.monotonic() < end:
        time.sleep(0.3)
        stats = client.info("stats")
        hits, asked = int(stats["active_defrag_hits"]), int(stats["active_defrag_misses"])
        if hits != moved:
            moved, asked_then = hits, asked
        elif asked - asked_then > ASKED_IN_A_ROUND:
            return
        quiet = quiet + 1 if client.info("memory").get("active_defrag_running", "0") == "0" else 0


def memory(build: Build, port: int) -> dict[str, float]:
    """In MB: a million small keys; three of four deleted; and what is left after defragmentation."""
    figures: dict[str, float] = {}

    def note(when: str) -> None:
        time.sleep(1)  # its own look at the process is every 100 ms
        found = client.info("memory")
        for figure, name in FIGURES.items():
            figures[f"{figure} {when}"] = int(found[name]) / 1e6

    with running(build, port) as (_, client):
        client.ask_all([["SET", f"key:{i}", f"value of key {i}"] for i in range(KEYS)])
        note("full")
        client.ask_all([["DEL", f"key:{i}"] for i in range(KEYS) if i % 4])
        time.sleep(AT_REST)
        note("deleted")
        try:
            for name, value in DEFRAG.items():
                client.ask("CONFIG", "SET", name, value)
            client.ask("CONFIG", "SET", "activedefrag", "yes")
            settled(client)
            time.sleep(AT_REST)
            note("defragmented")
        except RuntimeError:
            pass  # this build can't
    return figures
