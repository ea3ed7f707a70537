# SPDX-License-Identifier: BSD-3-Clause
"""Under _FORTIFY_SOURCE=3 a program may use all the bytes that it was told are usable, and else those it asked for.

By gcc and clang, with the library shared and static, and with both optimised across all files.
"""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tree import ALLOCATOR, BUILD, HEADER, run, tool

STRICTEST = ["-O2", "-g", "-std=c11", "-D_GNU_SOURCE", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"]
PROGRAMS = Path(__file__).parent
LIBRARIES = {
    "jemalloc": [*map(str, BUILD.glob("subprojects/jemalloc-*/jemalloc/libzmalloc-jemalloc.a")), "-lm"],
    "libc": [],
}[ALLOCATOR]


def sources() -> tuple[list[str], list[str]]:
    """The library's files, and what they are compiled with that is not a matter of taste."""
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    of_library = [each for each in commands if "libzmalloc.so" in each["output"]]
    words = shlex.split(of_library[0]["command"])
    flags = [word for word in words if word.startswith(("-I", "-DZM", "-fvisibility"))]
    return [each["file"] for each in of_library], flags


@dataclass
class Build:
    """The library's objects, by one compiler."""

    compiler: list[str]
    objects: list[str]

    def program(self, name: str, kind: str, folder: Path) -> Path:
        library = self.objects
        if kind == "shared":
            shared = folder / "libzmalloc.so"
            run(*self.compiler, "-shared", "-o", shared, *self.objects, *LIBRARIES, "-pthread")
            library = [str(shared), f"-Wl,-rpath,{folder}"]
        program = folder / name
        flags = [*STRICTEST, f"-I{HEADER.parent}", *sources()[1]]
        source = PROGRAMS / f"{name}.c"
        run(*self.compiler, *flags, "-o", program, source, *library, *LIBRARIES, "-pthread", cwd=BUILD)
        return program


# What clang makes of the calls, it makes of them with each allocator.
COMPILERS = ["gcc", "gcc -flto", *(["clang", "clang -flto"] if ALLOCATOR == "libc" else [])]


@pytest.fixture(scope="module", params=COMPILERS)
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    compiler = request.param.split()
    tool(compiler[0])
    folder = tmp_path_factory.mktemp("objects")
    files, flags = sources()
    objects = []
    for file in files:
        objects.append(str(folder / f"{len(objects)}-{Path(file).stem}.o"))  # two folders may have files of a name
        run(*compiler, *STRICTEST, *flags, "-fPIC", "-c", "-o", objects[-1], (BUILD / file).resolve(), cwd=BUILD)
    return Build(compiler, objects)


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_all_usable_bytes_may_be_used(build: Build, kind: str, tmp_path: Path) -> None:
    assert run(build.program("fortified", kind, tmp_path)) == "all used\n"


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_a_byte_too_many_is_found(build: Build, kind: str, tmp_path: Path) -> None:
    if build.compiler == ["gcc", "-flto"] and kind == "static":
        pytest.skip("gcc makes zmalloc part of the program, and knows no longer what was asked for")
    program = build.program("overrun", kind, tmp_path)
    result = subprocess.run([program, "10"], text=True, capture_output=True)
    assert result.returncode == -signal.SIGABRT
    assert "buffer overflow detected" in result.stderr
