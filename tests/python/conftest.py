# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the Python module share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmalloc

SKIPPED = 77  # Meson's
Script = Callable[[str], "subprocess.CompletedProcess[str]"]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where all of a file is skipped, so is the test."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = SKIPPED


@pytest.fixture
def source() -> Path:
    return Path(os.environ["ZMALLOC_SOURCE"])


@pytest.fixture
def script() -> Script:
    """Runs Python code in a process of its own: for what might end one."""

    def run(code: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-X", "faulthandler", "-c", "import zmalloc\n" + code]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


# Memory of every kind that an interpreter can have: its own, shared, of files, with names that mean something else.
SHAPE = r"""
import mmap, os, sys
data = bytearray(5_000_000)
shared = mmap.mmap(-1, 3 << 20)
shared[: 1 << 20] = b"s" * (1 << 20)
kept = []
for number, name in enumerate((b"plain", b"a\nRss: 888888888 kB\n", b" Pss:  8 kB", b"\xff\\012 end ", b"-begin")):
    path = os.path.join(os.fsencode(sys.argv[1]), name)
    with open(path, "wb+") as file:
        file.write(b"f" * (64 << 10))
        file.flush()
        access = mmap.ACCESS_COPY if number % 2 else mmap.ACCESS_READ
        kept.append(mmap.mmap(file.fileno(), 8192 * (number + 1), access=access, offset=4096 * number))
    kept[-1][0]
    if number % 2:
        kept[-1][:5] = b"dirty"
print("ready", flush=True)
input()
"""


@pytest.fixture(scope="session")
def stop() -> Callable[[int], None]:
    """Has a process stand still."""

    def wait_until_stopped(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "T":
            time.sleep(0.01)

    return wait_until_stopped


@pytest.fixture(scope="session")
def stopped(stop: Callable[[int], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A process of ours that has memory and stands still, so that two readings must agree to the byte."""
    command = [sys.executable, "-c", SHAPE, str(tmp_path_factory.mktemp("mapped"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            stop(process.pid)
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def brief() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends when it is told to."""
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


@pytest.fixture(autouse=True)
def leaves_no_block() -> Iterator[None]:
    """Whatever a test does, its blocks are gone when it is over, to the byte."""
    before = zmalloc.used_memory()
    yield
    zmalloc.set_oom_handler(None)
    assert zmalloc.used_memory() == before
