# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the Python module share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmalloc

Script = Callable[[str], "subprocess.CompletedProcess[str]"]


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


@pytest.fixture(autouse=True)
def leaves_no_block() -> Iterator[None]:
    """Whatever a test does, its blocks are gone when it is over, to the byte."""
    before = zmalloc.used_memory()
    yield
    zmalloc.set_oom_handler(None)
    assert zmalloc.used_memory() == before
