# SPDX-License-Identifier: BSD-3-Clause
"""Each header alone, for strict compilers of both languages."""

from pathlib import Path

import pytest

from tree import HEADER, HEADERS, run, tool

COMPILERS = [
    ("gcc", "c", "c99"),
    ("gcc", "c", "c11"),
    ("clang", "c", "c99"),
    ("g++", "c++", "c++11"),
    ("g++", "c++", "c++17"),
    ("clang++", "c++", "c++17"),
]


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
@pytest.mark.parametrize("prefix", [[], ["-DZMALLOC_SIZE_PREFIX"]], ids=["", "prefix"])
@pytest.mark.parametrize(("compiler", "language", "standard"), COMPILERS)
def test_header_alone(
    compiler: str, language: str, standard: str, prefix: list[str], header: Path, tmp_path: Path
) -> None:
    twice = tmp_path / "twice"
    twice.write_text(f'#include "{header}"\n#include "{header}"\nextern int nothing;\nint nothing;\n')
    strict = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
    run(tool(compiler), f"-std={standard}", *strict, *prefix, "-x", language, twice)


@pytest.mark.parametrize("prefix", [True, False])
def test_have_malloc_size_follows_the_prefix(prefix: bool) -> None:
    defined = run(tool("gcc"), "-dM", "-E", *(["-DZMALLOC_SIZE_PREFIX"] if prefix else []), HEADER)
    assert ("#define HAVE_MALLOC_SIZE 1" in defined) is not prefix
