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
    strict = ["-Wall", "-Wextra", "-Wshadow", "-pedantic", "-Werror", "-fsyntax-only"]
    run(tool(compiler), f"-std={standard}", *strict, *prefix, "-x", language, twice)


# How a program sets a struct's size, as the header says.
SIZED = {
    "c": "struct zmalloc_report report = {.size = sizeof(report)};",
    "c++": "struct zmalloc_report report = {}; report.size = sizeof(report);",
}


@pytest.mark.parametrize(("compiler", "language", "standard"), [*COMPILERS, ("g++", "c++", "c++20")])
def test_size_of_a_struct_is_set_without_a_warning(
    compiler: str, language: str, standard: str, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    ask = "return zmalloc_report(&report, 0) == 0 && ZMALLOC_HAS(&report, swap) ? 0 : 1;"
    program.write_text(f'#include "{HEADER}"\nint main(void) {{ {SIZED[language]} {ask} }}\n')
    strict = ["-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-fsyntax-only"]
    run(tool(compiler), f"-std={standard}", *strict, "-x", language, program)


@pytest.mark.parametrize("prefix", [True, False])
def test_have_malloc_size_follows_the_prefix(prefix: bool) -> None:
    defined = run(tool("gcc"), "-dM", "-E", *(["-DZMALLOC_SIZE_PREFIX"] if prefix else []), HEADER)
    assert ("#define HAVE_MALLOC_SIZE 1" in defined) is not prefix
