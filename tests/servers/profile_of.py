# SPDX-License-Identifier: BSD-3-Clause
"""Instructions of a SET and of a GET, and whose they are: the memory layer's, the allocator's, the rest."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from builds import Build
from client import Client, running

KEYS = 10_000
COUNT = 4000

# Whose code a source file is, for the first pattern that fits.
OWNERS = {
    "allocator": r"jemalloc|/malloc/|gperftools|tcmalloc",
    "layer": r"zmalloc|zm_|atomicvar\.h|/(account|limit|heap|sync|hardened)/\w+\.[ch]|src/(slow|oom|call)\.[ch]",
}
# By name, where there is no source: the C library's malloc, and tcmalloc.
FUNCTIONS = {"allocator": r"^(_int_)?(malloc|free|realloc|calloc)|^(tc_|tcmalloc|je_)|^unlink_chunk"}


def owner(path: str, function: str) -> str:
    for name, pattern in OWNERS.items():
        if re.search(pattern, path):
            return name
    for name, pattern in FUNCTIONS.items():
        if path in ("", "???") and re.search(pattern, function):
            return name
    return "rest"


def costs(text: str) -> Iterator[tuple[str, str, int]]:
    """(source file, function, instructions) of each line that has some of its own."""
    names: dict[str, str] = {}
    path = function = ""
    of_call = False
    for line in text.splitlines():
        if found := re.match(r"(c?f[lie]|c?fn|c?ob)=(\(\d+\))(?: (.*))?$", line):
            kind = "file" if found[1].lstrip("c") in ("fl", "fi", "fe") else found[1].lstrip("c")
            key = f"{kind}{found[2]}"
            if found[3] is not None:
                names[key] = found[3]
            if found[1] in ("fl", "fi", "fe"):
                path = names[key]
            elif found[1] == "fn":
                function = names[key]
        elif line.startswith("calls="):
            of_call = True
        elif found := re.match(r"(?:[+*-]?\d*|\*) (\d+)$", line):
            if not of_call:
                yield path, function, int(found[1])
            of_call = False


def counted(file: Path) -> Counter[str]:
    """Instructions of each owner."""
    sums: Counter[str] = Counter()
    for path, function, count in costs(file.read_text(errors="replace")):
        sums[owner(path, function)] += count
    return sums


def dump(process: subprocess.Popen[bytes]) -> None:
    """What callgrind counted since the last dump goes to a file, and it begins anew."""
    subprocess.run(["callgrind_control", "--dump", str(process.pid)], check=True, capture_output=True)


WORKLOADS = ("a new key", "an old key", "a GET")


def profile(build: Build, port: int) -> dict[str, dict[str, float]]:
    """For each kind of command the instructions of one, by owner."""
    folder = build.folder / "profile"
    folder.mkdir(exist_ok=True)
    for file in folder.glob("out*"):
        file.unlink()
    wrapper = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--dump-line=yes"]
    with running(build, port, ["--hz", "1", "--activedefrag", "no"], wrapper) as (process, client):
        keys = [["SET", f"key:{i}", f"value of key {i}"] for i in range(KEYS)]
        # A hash table that grows moves a little at each command. With as many more it has moved all.
        commands = {
            "before": keys + [["GET", f"key:{i}"] for i in range(KEYS)],
            WORKLOADS[0]: [["SET", f"key:{i}", f"value of key {i}"] for i in range(KEYS, KEYS + COUNT)],
            WORKLOADS[1]: [["SET", f"key:{i}", f"another of key {i}"] for i in range(COUNT)],
            WORKLOADS[2]: [["GET", f"key:{i}"] for i in range(COUNT)],
        }
        for which in commands.values():
            for command in which:
                client.ask(*command)
            dump(process)
    return {
        name: {who: count / COUNT for who, count in counted(folder / f"out.{number}").items()}
        for number, name in enumerate(WORKLOADS, 2)
    }


