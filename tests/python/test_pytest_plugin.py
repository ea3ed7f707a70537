# SPDX-License-Identifier: BSD-3-Clause
"""The pytest plugin, by running pytest on small test files, in processes of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


def run(folder: Path, code: str, *arguments: str) -> tuple[dict[str, int], str]:
    """Runs the tests in the code; how many passed, failed, …, and all that was printed."""
    (folder / "test_it.py").write_text("import pytest, zmalloc\nkept = []\n" + code)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "zmalloc.pytest_plugin", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    text = done.stdout + done.stderr
    counts = re.findall(r"(\d+) (passed|failed|error|skipped)", text.splitlines()[-1])
    return {what: int(number) for number, what in counts}, text


def test_a_test_that_keeps_nothing_passes(tmp_path: Path) -> None:
    code = """
def test_it(zmalloc_no_growth):
    block = zmalloc.Block(1000)
    assert zmalloc_no_growth.kept >= 1000

@pytest.mark.zmalloc_no_growth
def test_garbage():
    class Ring:
        def __init__(self):
            self.ring, self.block = self, zmalloc.Block(1000)
    Ring()

def test_asks_for_nothing():
    kept.append(zmalloc.Block(1000))
"""
    counts, text = run(tmp_path, code)
    assert counts == {"passed": 3}, text


def test_a_test_that_keeps_memory_fails_and_says_how_much(tmp_path: Path) -> None:
    code = """
def test_fixture(zmalloc_no_growth):
    zmalloc.Block(5000)
    kept.append(zmalloc.Block(1000))

@pytest.mark.zmalloc_no_growth
def test_marker():
    kept.append(zmalloc.Block(1000))

@pytest.mark.zmalloc_no_growth
def test_both(zmalloc_no_growth):
    kept.append(zmalloc.Block(1000))
"""
    counts, text = run(tmp_path, code)
    assert counts == {"failed": 3}, text
    said = re.search(r"kept (\d+) bytes in zmalloc Blocks, of 0 that it may: (\d+) allocated, (\d+) freed", text)
    assert said is not None, text
    kept, allocated, freed = map(int, said.groups())
    # What a block has beyond its size depends on the allocator, and with libc on its neighbours.
    assert kept == allocated - freed
    assert 1000 <= kept <= 1280
    assert 5000 <= freed <= 6144


def test_limits(tmp_path: Path) -> None:
    code = """
@pytest.mark.zmalloc_no_growth(limit=100_000)
def test_within():
    kept.append(zmalloc.Block(90_000))

@pytest.mark.zmalloc_no_growth(10_000)
def test_beyond():
    kept.append(zmalloc.Block(90_000))

def test_set(zmalloc_no_growth):
    zmalloc_no_growth.limit = 100_000
    kept.append(zmalloc.Block(90_000))
"""
    counts, text = run(tmp_path, code)
    assert counts == {"passed": 2, "failed": 1}, text
    assert "of 10000 that it may" in text


def test_fixtures_are_not_the_test_s_own(tmp_path: Path) -> None:
    code = """
@pytest.fixture
def block():
    return zmalloc.Block(1000)

def test_before(block, zmalloc_no_growth):
    pass

def test_after(zmalloc_no_growth, block):
    block.resize(100)
"""
    counts, text = run(tmp_path, code)
    assert counts == {"passed": 2}, text


def test_a_failure_of_the_test_itself_is_told_alone(tmp_path: Path) -> None:
    code = """
def test_it(zmalloc_no_growth):
    kept.append(zmalloc.Block(1000))
    assert 1 == 2

def test_skipped(zmalloc_no_growth):
    pytest.skip("for a reason")
"""
    counts, text = run(tmp_path, code)
    assert counts == {"failed": 1, "skipped": 1}, text
    assert "assert 1 == 2" in text
    assert "zmalloc Blocks" not in text


@pytest.mark.parametrize("arguments", ["limit=-1", "limit=1.5", "limit='1'", "limit=True", "most=1", "1, 2"])
def test_a_wrong_limit_is_refused(tmp_path: Path, arguments: str) -> None:
    counts, text = run(tmp_path, f"@pytest.mark.zmalloc_no_growth({arguments})\ndef test_it():\n    pass\n")
    assert "passed" not in counts, text
    assert "zmalloc_no_growth takes limit, a number of bytes, and nothing else" in text


def test_the_marker_is_known(tmp_path: Path) -> None:
    counts, text = run(tmp_path, "@pytest.mark.zmalloc_no_growth\ndef test_it():\n    pass\n", "--strict-markers")
    assert counts == {"passed": 1}, text
    assert "zmalloc_no_growth(limit=0)" in run(tmp_path, "", "--markers")[1]


def test_a_test_may_be_run_again(tmp_path: Path) -> None:
    """As plugins do that give a failed test another chance."""
    (tmp_path / "conftest.py").write_text("""
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    runtestprotocol(item, log=False, nextitem=nextitem)
    return runtestprotocol(item, nextitem=nextitem) is not None
""")
    code = """
@pytest.mark.zmalloc_no_growth
def test_marker():
    if not kept:
        kept.append(zmalloc.Block(1000))

def test_fixture(zmalloc_no_growth):
    zmalloc.Block(1000)
"""
    counts, text = run(tmp_path, code)
    assert counts == {"passed": 2}, text
