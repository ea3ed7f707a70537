# SPDX-License-Identifier: BSD-3-Clause
"""A service that Prometheus can watch: it keeps files in memory, as it is told line by line: keep PATH, drop PATH.

Usage: exporter.py PORT
"""

from __future__ import annotations

import sys
from pathlib import Path

import prometheus_client
import zmalloc
import zmalloc.metrics

files: dict[str, zmalloc.Block] = {}
commands = prometheus_client.Counter("files_commands", "Commands that were carried out, by name.", ["command"])
kept = prometheus_client.Gauge("files_kept", "Files in memory.")
kept.set_function(lambda: len(files))


def keep(path: str) -> None:
    """Reads the file into a Block."""
    text = Path(path).read_bytes()
    block = files[path] = zmalloc.Block(len(text))
    block[:] = text


def drop(path: str) -> None:
    """Forgets the file, if it is there."""
    block = files.pop(path, None)
    if block is not None:
        block.close()


def main() -> None:
    """Serves the metrics in a thread, and carries out what is read."""
    zmalloc.metrics.Collector()  # once: from here on each scrape asks for a report
    prometheus_client.start_http_server(int(sys.argv[1]), "127.0.0.1")
    print("ready", flush=True)
    for line in sys.stdin:
        name, _, path = line.strip().partition(" ")
        try:
            {"keep": keep, "drop": drop}[name](path)
        except (KeyError, OSError) as error:
            print(f"can't {name} {path}: {error!r}", flush=True)
        else:
            commands.labels(name).inc()
            print(f"{len(files)} files", flush=True)


if __name__ == "__main__":
    main()
