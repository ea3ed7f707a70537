# SPDX-License-Identifier: BSD-3-Clause
"""The module as a file: what it exports, what it needs, and that it comes into any process."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import zmalloc


def tool(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def module() -> str:
    return zmalloc._zmalloc.__file__


def test_it_is_the_one_that_was_built() -> None:
    build = Path(os.environ["ZMALLOC_BUILD"]).resolve()
    assert build in Path(module()).resolve().parents
    assert build in Path(zmalloc.__file__).resolve().parents


def test_it_exports_its_entry_alone() -> None:
    names = [line.split()[-1] for line in tool("nm", "-D", "--defined-only", module()).splitlines()]
    assert names == ["PyInit__zmalloc"]


def test_it_can_be_loaded_late_and_stays() -> None:
    dynamic = tool("readelf", "-d", module())
    assert "STATIC_TLS" not in dynamic
    assert "NODELETE" in dynamic


def test_it_needs_no_library_of_ours() -> None:
    needed = [line for line in tool("readelf", "-d", module()).splitlines() if "NEEDED" in line]
    assert needed
    assert not [line for line in needed if "libzmalloc" in line or "jemalloc" in line or "libpython" in line]


def test_a_plain_interpreter_imports_it() -> None:
    environment = {"PYTHONPATH": os.environ["PYTHONPATH"], "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", "import sys, zmalloc; sys.stdout.write(zmalloc.allocator)"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert result.stdout == zmalloc.allocator


def test_an_import_needs_few_modules() -> None:
    """None that takes longer to import than all of this package: they are loaded when they are used."""
    code = "import os, sys; before = set(sys.modules); import zmalloc; print(*sorted(set(sys.modules) - before))"
    needed = tool(sys.executable, "-S", "-c", code).split()
    ours = [name for name in needed if name.startswith("zmalloc")]
    modules = ["_defrag", "_limit", "_named", "_published", "_zmalloc"]
    assert ours == ["zmalloc", *(f"zmalloc.{name}" for name in modules)]
    assert len(needed) - len(ours) <= 2  # __future__, and what SWIG keeps for all its modules


def test_what_is_loaded_late_is_there(script: Callable) -> None:
    for use in ("zmalloc.track is zmalloc.Track", "zmalloc.Track.__name__ == 'Track'",
                "zmalloc.Monitor(None).sample()._fields == zmalloc.Sample._fields"):  # fmt: skip
        assert script(f"print({use})").stdout == "True\n"
    code = "from zmalloc import *\nprint(Track is track, Monitor.__name__, Event._fields[2], report().rss > 0)"
    result = script(code)
    assert (result.stdout, result.stderr) == ("True Monitor name True\n", "")


def test_importing_changes_nothing_but_the_module(script: Callable) -> None:
    result = script("print(zmalloc.used_memory())")
    assert (result.returncode, result.stdout, result.stderr) == (0, "0\n", "")


def test_blocks_that_outlive_the_interpreter_do_no_harm(script: Callable) -> None:
    result = script(
        "import sys\n"
        "sys.kept = [zmalloc.Block(100), memoryview(zmalloc.Block(5))]\n"
        "zmalloc.set_oom_handler(print)\n"
        "cycle = [zmalloc.Block(7)]; cycle.append(cycle)\n"
    )
    assert (result.returncode, result.stderr) == (0, "")


# The library that an allocator is in; the private jemalloc's version is its archive's.
LIBRARIES = {"tcmalloc": "libtcmalloc_minimal.so", "mimalloc": "libmimalloc.so", "libc": "libc.so"}


def package_of(path: str) -> str:
    """Debian's package that has the file. Some still know it by the path from before /lib became a link."""
    for name in (path, path.removeprefix("/usr")):
        found = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.split(": ")[0]
    pytest.skip(f"{path} is no package's")


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no Debian packages here to compare with")
def test_the_allocators_version_is_its_packages() -> None:
    name, _, version = zmalloc.allocator.partition("-")
    if name not in LIBRARIES:
        pytest.skip(f"{name} is no package's")
    maps = Path("/proc/self/maps").read_text()
    [path] = set(re.findall(rf"/.*/{re.escape(LIBRARIES[name])}.*", maps))
    installed = tool("dpkg-query", "-W", "-f${Version}", package_of(path))
    upstream = re.fullmatch(r"(?:\d+:)?([^-+~]+).*", installed)
    assert upstream and version == upstream[1], installed


def test_what_is_listed_is_the_interface() -> None:
    """Not what the package needs for itself: what it imports, and its own parts, however many were loaded."""
    importlib.import_module("zmalloc._cli.program")
    importlib.import_module("zmalloc.pytest_plugin")
    listed = {name for name in dir(zmalloc) if not re.fullmatch(r"__\w+__", name)}
    assert {"Block", "Monitor", "Track", "report", "zmalloc_report", "ZMALLOC_VERSION", "allocator"} <= listed
    assert not {"sys", "annotations", "overload", "TYPE_CHECKING", "metrics", "pytest_plugin"} & listed
    modules = [name for name in listed if isinstance(getattr(zmalloc, name), types.ModuleType)]
    assert modules + [name for name in listed if name.startswith("_")] == []
    made_here = {name for name, thing in vars(zmalloc).items()
                 if getattr(thing, "__module__", None) == "zmalloc" and not name.startswith("_")}  # fmt: skip
    assert len(made_here) > 15 and made_here <= listed
    assert listed == set(zmalloc.__all__)
