# SPDX-License-Identifier: BSD-3-Clause
"""The package without Python's package registry: what Meson puts into a wheel is what it installs."""

from __future__ import annotations

from pathlib import Path

import pytest

from package import FILES, Interpreter, check_binary, copy_project, failure, forget_jemalloc, stand_in_for_jemalloc
from tree import MESON, SOURCE, run

tomllib = pytest.importorskip("tomllib", reason="no tomllib before Python 3.11")

ARGUMENTS = tomllib.loads((SOURCE / "pyproject.toml").read_text())["tool"]["meson-python"]["args"]


def test_missing_jemalloc_is_explained(tmp_path: Path) -> None:
    """The last words tell what is missing, where it is looked for, and how to do without."""
    project = copy_project(tmp_path)
    forget_jemalloc(project)
    said = failure(*MESON, "setup", "--wrap-mode=nodownload", tmp_path / "build", project, *ARGUMENTS["setup"])
    error = said[said.index("ERROR:") :]
    for words in ("jemalloc", "subprojects/packagecache", "jemalloc.wrap", "-Csetup-args=-Dallocator=libc"):
        assert words in error


def build(project: Path, folder: Path, interpreter: Interpreter, allocator: str) -> Path:
    """What a wheel's build does: the same options and the same target."""
    build = folder / "build"
    python = f"-Dpython_command={interpreter.python}"
    options = ("-Dbuildtype=release", f"-Dallocator={allocator}", python)
    run(*MESON, "setup", build, project, *ARGUMENTS["setup"], *options)
    run(*MESON, "compile", "-C", build, *ARGUMENTS["compile"])
    assert not [path for path in build.rglob("libzmalloc.so*") if path.is_file()]
    return build


def files(folder: Path) -> set[Path]:
    """All but the bytecode, which some Mesons make when they install."""
    return {path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__"}


@pytest.mark.parametrize("allocator", ["jemalloc", "libc"])
def test_module_alone(allocator: str, tmp_path: Path) -> None:
    """Into an empty environment comes the package, whole and working, and not one file more but for its bytecode."""
    project = copy_project(tmp_path)
    stand_in_for_jemalloc(project)
    interpreter = Interpreter(tmp_path / "venv", "--without-pip")
    packages = interpreter.packages
    before = files(interpreter.folder)
    built = build(project, tmp_path, interpreter, allocator)
    run(*MESON, "install", "--no-rebuild", "-C", built, *ARGUMENTS["install"])
    added = files(interpreter.folder) - before
    [binary] = [path for path in added if path.suffix == ".so"]
    assert added == {packages / "zmalloc" / name for name in FILES} | {binary}
    assert binary.parent == packages / "zmalloc"
    check_binary(binary)
    interpreter.try_module(allocator)
