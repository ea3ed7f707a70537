# SPDX-License-Identifier: BSD-3-Clause
"""The example of a cache that keeps to a budget: it does, and makes use of it, in C and in Python."""

import subprocess
import sys

import pytest

from tree import BUILD, SOURCE, run

CACHE = BUILD / "examples" / "cache"
PYTHON_MODULE = BUILD / "bindings" / "python"

pytestmark = pytest.mark.skipif(not CACHE.exists(), reason="no examples when this was built")


def figures(output: str) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split(":") for line in output.splitlines())}


def test_in_c() -> None:
    told = figures(run(CACHE, "250000", "1"))
    assert told["budget"] == 250_000
    assert 240_000 < told["most_used_memory"] <= 250_000 + 4096  # a reading amid others is off by a little
    assert told["evicted"] > 1000
    assert told["entries"] > 100
    assert told["misses"] == told["entries"] + told["evicted"]


@pytest.mark.skipif(not (PYTHON_MODULE / "zmalloc").exists(), reason="no module for Python in this tree")
def test_in_python() -> None:
    command = (sys.executable, SOURCE / "examples" / "cache.py", "60000", "0.5")
    told = figures(run(*command, env={"PYTHONPATH": str(PYTHON_MODULE)}))
    assert 55_000 < told["most_used_memory"] <= told["budget"] == 60_000
    assert told["evicted"] > 1000


def test_budget_that_is_too_small_is_refused() -> None:
    result = subprocess.run([CACHE, "10"], text=True, capture_output=True)
    assert result.returncode == 2
    assert "usage: cache" in result.stderr
