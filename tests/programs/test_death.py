# SPDX-License-Identifier: BSD-3-Clause
"""How programs end that run out of memory, or past the end of a block."""

import resource
import signal
import subprocess
import sys

import pytest

from tree import BUILD

# Programs that abort here are no accidents to be looked into.
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

PROGRAMS = BUILD / "tests" / "programs"
TOO_MUCH = sys.maxsize - 1000
OVERFLOW = 2 * sys.maxsize + 1

SIZES = {
    "zmalloc": TOO_MUCH,
    "zcalloc": TOO_MUCH,
    "zcalloc_num": OVERFLOW,
    "zmalloc_usable": TOO_MUCH,
    "zcalloc_usable": TOO_MUCH,
    "zmalloc_no_tcache": TOO_MUCH,
    "zrealloc": TOO_MUCH,
    "zrealloc_usable": TOO_MUCH,
    "handler_taken_back": TOO_MUCH,
}


def end(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAMS / program, *arguments], text=True, capture_output=True, timeout=30)


@pytest.mark.parametrize(("way", "size"), SIZES.items())
def test_without_a_handler_the_size_is_printed_and_the_program_aborts(way: str, size: int) -> None:
    result = end("death", way)
    assert result.returncode == -signal.SIGABRT
    assert "zmalloc: out of memory" in result.stderr
    assert f" {size} bytes" in result.stderr
    assert result.stdout == ""


def test_ztry_calls_survive_without_a_handler() -> None:
    result = end("death", "ztry")
    assert (result.returncode, result.stdout) == (0, "survived with NULL\n")
    assert "zmalloc" not in result.stderr


def test_a_handler_may_end_the_program() -> None:
    result = end("death", "handler_that_leaves")
    assert (result.returncode, result.stdout) == (42, f"handler {TOO_MUCH}\n")
    assert "zmalloc" not in result.stderr


def test_a_handler_may_return() -> None:
    result = end("death", "handler_that_stays")
    assert result.returncode == 0
    assert result.stdout == f"handler {TOO_MUCH}\n" * 2 + "survived with NULL\n"


def test_fortified_program_may_use_all_that_is_usable() -> None:
    result = end("fortified")
    assert (result.returncode, result.stdout) == (0, "all used\n"), result.stderr


def test_fortified_program_is_stopped_past_the_size_it_asked_for() -> None:
    result = end("overrun", "10")
    assert result.returncode == -signal.SIGABRT
    assert "buffer overflow detected" in result.stderr
