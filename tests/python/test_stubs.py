# SPDX-License-Identifier: BSD-3-Clause
"""The types that are promised to checkers are those that the module has."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import zmalloc

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="no mypy for this interpreter")

# What the stub has and a module may lack. Python code sees the buffer protocol since 3.12; mypy needs it for all.
UNSEEN = [r"zmalloc\._zmalloc\.Block\.__buffer__"] if sys.version_info < (3, 12) else []
UNSEEN += [] if hasattr(zmalloc, "HAVE_MALLOC_SIZE") else [r"zmalloc\._zmalloc\.HAVE_MALLOC_SIZE"]


def mypy(folder: Path, module: str, *arguments: str) -> str:
    """What mypy says of the package as it was built."""
    environment = os.environ | {"MYPY_CACHE_DIR": str(folder), "MYPYPATH": os.environ["PYTHONPATH"]}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=120).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mypy")
    (folder / "unseen").write_text("\n".join(UNSEEN))
    return folder


def test_stubs_and_module_agree(folder: Path) -> None:
    said = mypy(folder, "mypy.stubtest", "zmalloc._zmalloc", "--allowlist=unseen")
    assert "no issues found" in said, said


@pytest.mark.parametrize("module", ["zmalloc", "zmalloc.__main__"])
def test_package_is_typed(module: str, folder: Path) -> None:
    """With whatever packages there are of those that it can do without."""
    assert Path(zmalloc.__file__).with_name("py.typed").is_file()
    said = mypy(folder, "mypy", "--strict", "--ignore-missing-imports", "--module", module)
    assert "no issues found" in said, said


USE = """
import zmalloc
from typing_extensions import assert_type

with zmalloc.Block(10) as block:
    assert_type(block[0], int)
    assert_type(block[1:], bytes)
    block[:2] = b"ab"
assert_type(zmalloc.used_memory(), int)
assert_type(zmalloc.smaps(), "dict[str, int]")
assert_type(zmalloc.smaps("Rss"), int)
assert_type(zmalloc.allocator_info().resident, "int | None")
allocated, active, resident = zmalloc.allocator_info()
assert_type(active, "int | None")
with zmalloc.Monitor(interval=None, length=10) as monitor:
    assert_type(monitor.sample().rss, "int | None")
    assert_type(monitor.samples(), "list[zmalloc.Sample]")
assert_type([event.name for event in monitor.events()], "list[str]")
assert_type(monitor.rates(), "zmalloc.Rates | None")
assert_type(monitor.to_json(), str)
assert_type(zmalloc.report()._repr_html_(), str)
"""

MISUSE = {
    'zmalloc.Block("10")': "arg-type",
    "zmalloc.Block(10)[:1] = 5": "call-overload",
    "zmalloc.zfree(b'x')": "arg-type",
    "zmalloc.used_memory(1)": "call-arg",
    "zmalloc.allocator_info().allocated = 1": "misc",
    "zmalloc.Monitor(interval='1')": "arg-type",
    "zmalloc.Monitor().taken = 1": "misc",
}


def test_use_and_misuse(folder: Path) -> None:
    """What is right passes the checker, and what would raise does not."""
    (folder / "use.py").write_text(USE)
    said = mypy(folder, "mypy", "--strict", "use.py")
    assert "no issues found" in said, said
    (folder / "misuse.py").write_text("import zmalloc\n" + "\n".join(MISUSE))
    lines = [line for line in mypy(folder, "mypy", "--strict", "misuse.py").splitlines() if ": error:" in line]
    assert [line.split(":")[1] for line in lines] == [str(2 + number) for number in range(len(MISUSE))], lines
    assert [line.endswith(f"[{code}]") for line, code in zip(lines, MISUSE.values())] == [True] * len(MISUSE), lines
