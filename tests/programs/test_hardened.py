# SPDX-License-Identifier: BSD-3-Clause
"""Wrong uses of blocks end a program on the hardened library, with words that say which call and which pointer."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess

import pytest

from tree import BUILD

# Programs that abort here are no accidents to be looked into.
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

WRONG = BUILD / "tests" / "programs" / "wrong"
SIZES = [1, 100, 5000]
FIRST_PAST = {"byte after": 0, "NUL after": 0, "16th byte after": 15}  # what is written to, from the block's end
MESSAGE = re.compile(r"zmalloc: (\w+): (\S+): (.*)\n")


def end(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([WRONG, *map(str, arguments)], text=True, capture_output=True, timeout=500)


def wrong_uses() -> list[list[str]]:
    return [line.split("\t") for line in end("list").stdout.splitlines()]


@pytest.mark.parametrize(("what", "number", "call", "words"), wrong_uses())
def test_a_wrong_use_is_told_and_aborts(what: str, number: str, call: str, words: str) -> None:
    for way, size in enumerate(SIZES, start=int(number)):
        result = end("one", what, number, size, way)
        assert result.returncode == -signal.SIGABRT, result.stderr
        message = MESSAGE.fullmatch(result.stderr)
        assert message is not None, result.stderr
        assert message.group(1, 2) == (call, result.stdout)
        assert words in message.group(3)
        if what in FIRST_PAST:
            place = re.match(r"overflow: its byte (\d+) was written to, and it has (\d+) bytes", message.group(3))
            assert place is not None
            assert int(place[1]) - int(place[2]) == FIRST_PAST[what]


def test_any_wrong_use_is_found_among_right_ones() -> None:
    number = int(os.environ.get("ZMALLOC_WRONG_USES", "2000"))
    result = end("random", number, os.environ.get("ZMALLOC_SEED", "1"))
    print(result.stdout)
    assert result.returncode == 0, result.stdout
    assert f"figure: {number} wrong uses caught\n" == result.stdout


def test_guards_can_not_be_known_from_addresses() -> None:
    """Two runs that have all at the same places, which an attacker may bring about, have other guards."""
    runs = []
    for _ in range(2):
        shown = subprocess.run(["setarch", "-R", WRONG, "guards"], text=True, capture_output=True)
        if "personality" in shown.stderr:
            pytest.skip(f"this system does not let programs be at fixed places: {shown.stderr}")
        runs.append(shown.stdout.split())
    (address, *guards), (same_address, *others) = runs
    assert address == same_address
    assert len(guards) == len(others) == 32
    assert "00" not in guards + others
    assert sum(a != b for a, b in zip(guards, others)) > 16
    # Nor one from another: words side by side are as different as chance makes them.
    words = [int("".join(guards[i : i + 8]), 16) for i in range(0, len(guards), 8)]
    assert all((a ^ b).bit_count() > 8 for a, b in zip(words, words[1:]))
