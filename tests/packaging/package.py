# SPDX-License-Identifier: BSD-3-Clause
"""The Python package as users get it: sources to build from, interpreters of their own, and the expected result."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tree import BUILD, SOURCE, copies_of, introspect, run, tool

# Who installs the package has none of the paths of this build.
os.environ.pop("PYTHONPATH", None)

VERSION = introspect("projectinfo")["version"]
PACKAGE = SOURCE / "bindings" / "python" / "zmalloc"
FILES = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*")
         if path.is_file() and path.name != "meson.build" and "__pycache__" not in path.parts}  # fmt: skip
FILES |= {"_places.py", "_zmalloc.pyi"}  # built ones


def copy_project(folder: Path) -> Path:
    """The sources, with jemalloc's at hand, as a commit of their own: so what is not committed here is tested too."""
    copy = folder / "zmalloc"
    everywhere = shutil.ignore_patterns(".git", ".mesonpy*", "__pycache__", ".*_cache")
    builds = shutil.ignore_patterns("build*")

    def ignore(where: str, names: list[str]) -> set[str]:
        return everywhere(where, names) | (builds(where, names) if Path(where) == SOURCE else set())

    shutil.copytree(SOURCE, copy, ignore=ignore, symlinks=True)
    git = [tool("git"), "-c", "user.name=tests", "-c", "user.email=tests@localhost"]
    run(*git, "init", "--quiet", cwd=copy)
    run(*git, "add", "--all", cwd=copy)
    run(*git, "commit", "--quiet", "--message=All", cwd=copy)
    return copy


def forget_jemalloc(project: Path) -> None:
    """As where the package cache is empty; then only a download could bring it."""
    for path in (project / "subprojects").iterdir():
        if path.is_dir() and path.name != "packagefiles":
            shutil.rmtree(path)


def stand_in_for_jemalloc(project: Path) -> None:
    """This tree has built the very same jemalloc already, so that it need not take another minute."""
    built = next(BUILD.glob("subprojects/jemalloc-*/jemalloc/libzmalloc-jemalloc.a"))
    for script in project.glob("subprojects/**/jemalloc/build.sh"):
        script.write_text(copies_of(built))


class Interpreter:
    """A virtual environment."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        run(sys.executable, "-m", "venv", *options, folder)

    @property
    def packages(self) -> Path:
        return Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('platlib'))").strip())

    def run(self, *arguments: str | Path) -> str:
        """What it prints; with its own programs first on PATH, as when the environment is active."""
        path = f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"
        return run(self.python, *arguments, env={"PATH": path}, cwd=self.folder)

    def pip(self, *arguments: str | Path) -> str:
        return self.run("-m", "pip", "--disable-pip-version-check", *arguments)

    def try_module(self, allocator: str) -> None:
        """The installed package does what the README shows, without a warning."""
        strict = ("-I", "-X", "dev", "-W", "error")
        what = "import zmalloc; print(zmalloc.__file__, zmalloc.allocator, zmalloc.used_memory())"
        where, name, used = self.run(*strict, "-c", what).split()
        assert self.packages in Path(where).parents
        assert (name.partition("-")[0], used) == (allocator, "0")
        example = re.search(r"^```python\n(.*?)^```", (SOURCE / "README.md").read_text(), re.MULTILINE | re.DOTALL)
        assert example is not None and "import zmalloc" in example[1]
        assert self.run(*strict, "-c", example[1])
        assert self.run(*strict, "-m", "zmalloc", "--version").startswith(f"zmalloc {VERSION} ({allocator}")


def check_binary(module: Path) -> None:
    """Whole in itself, and fit for any process that is already running."""
    names = [line.split()[-1] for line in run(tool("nm"), "-D", "--defined-only", module).splitlines()]
    assert names == ["PyInit__zmalloc"]
    dynamic = run(tool("readelf"), "--dynamic", "--wide", module)
    assert "STATIC_TLS" not in dynamic
    assert "TEXTREL" not in dynamic
    assert "NODELETE" in dynamic
    assert not re.search(r"R(UN)?PATH.*\[.+\]", dynamic)
    needed = set(re.findall(r"NEEDED.*\[(.+)\]", dynamic))
    assert {name.split(".")[0].split("-")[0] for name in needed} <= {"libc", "libm", "libpthread", "libdl", "ld"}


def failure(*command: str | Path, cwd: Path | None = None) -> str:
    """All that a command says which must fail."""
    result = subprocess.run([str(word) for word in command], cwd=cwd, text=True, capture_output=True)
    assert result.returncode != 0, f"{command} did not fail"
    return result.stdout + result.stderr


def skip_without_registry(error: AssertionError) -> None:
    """Where packages can't be fetched, the tests that need them are skipped, and say so."""
    said = str(error).strip().splitlines()
    pytest.skip("Python's package registry can't be reached: " + (said[-1] if said else "no reason given"))
